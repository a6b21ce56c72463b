/* Scores of ungapped alignments, and which targets of a FASTA file reach a query's threshold.
 *
 * The score S of a target is 128 plus the highest value of the recurrence
 *
 *     v[i][k] = clip(v[i-1][k-1] + score[residue i][position k]),  clip to -128..127
 *
 * over all residues i of the target and positions k of the query, where v is -128 before
 * the first residue and the first position. It is the score of HMMER's first filter for
 * one segment, in the filter's own units (a third of a bit).
 */
#ifndef AF3OPT_KERNEL_H
#define AF3OPT_KERNEL_H

#include <stddef.h>
#include <stdint.h>

enum {
  FLOOR = -128,
  /* Codes of residues: letters are 1..26, A and a alike. */
  CODE_STAR = 27,
  CODE_GAP = 28,
  CODE_MISSING = 29,
  CODES = 32,
  /* HMMER refuses longer targets, so that they are always kept for it to refuse. */
  LONGEST_TARGET = 100000,
  /* Readable bytes that follow every text and every array of codes. */
  PADDING = 64,
  MOST_POSITIONS = 30000,
  MOST_BLOCK_TARGETS = 2048,
  BLOCK_CODES = 1 << 17,  /* when a block is full: half of a small second-level cache */
  /* The last target of a block comes on top, and 16 bytes that are written with the last one.
   * No multiple of a page: reads from one array and writes to the other would seem to collide. */
  BORDER_BYTES = BLOCK_CODES + LONGEST_TARGET + 2 * PADDING,
};

typedef struct Isa Isa;

typedef enum { UNUSABLE, USABLE, PREFERRED } Use;  /* by the processor that this runs on */

/* A query as one instruction set needs it. */
typedef struct {
  const Isa *isa;
  int length;        /* positions */
  int vectors;       /* vectors a part */
  int parts;         /* passes over the targets, each for vectors * lanes positions */
  int8_t *table;     /* parts x CODES x row_vectors(vectors) x lanes, on a cache line */
  uint8_t *least;    /* LONGEST_TARGET + 1: the smallest S to keep, by the target's length */
} Query;

/* Vectors from one row of a table to the next: a power of two, because a multiplication with
 * another number in every residue costs a third of the speed on a Zen 5. */
static inline size_t row_vectors(int vectors) {
  size_t power = 1;
  while (power < (size_t)vectors) power *= 2;
  return power;
}

/* Targets whose residues are in the cache while every query goes over them. */
typedef struct {
  uint8_t *codes;    /* before the first and after every target lies one code of no meaning */
  uint32_t first[MOST_BLOCK_TARGETS];   /* index of a target's first code */
  uint32_t length[MOST_BLOCK_TARGETS];  /* residues */
  size_t targets;
  size_t used;       /* codes written, with the separating ones */
  int8_t *borders[2];  /* one value for each code: what a part hands over to the next */
  int8_t *rows;      /* for plain C: two rows of a value more than the longest query */
} Block;

struct Isa {
  const char *name;
  int lanes;
  int most_vectors;
  Use (*usable)(void);
  /* Sets kept[t] to 1 for every target of the block that reaches the query's threshold. */
  void (*search)(const Query *query, const Block *block, uint8_t *kept);
  /* Sets a bit of `others` for every byte that is no letter, of `ends` for every line feed or
   * carriage return; byte i is bit i % 64 of word i / 64. Reads and writes whole words. */
  void (*classify)(const uint8_t *text, size_t words, uint64_t *others, uint64_t *ends);
};

extern const Isa *const ISAS[];  /* the faster first, NULL at the end */

const Isa *find_isa(const char *name);

/* Arranges the scores of a query (CODES x length) for an instruction set.
 * Returns 0, or -1 without memory. */
int query_prepare(Query *query, const Isa *isa, const int8_t *scores, int length,
                  const uint8_t *least);
void query_release(Query *query);

#endif
