/* Plain C for any processor: what the others are compared with. */
#include <string.h>

#include "kernel.h"

enum { LANES = 1, MOST_VECTORS = MOST_POSITIONS + 1 };

/* One residue: writes a row from the one before it and returns the best value. */
static int8_t next_row(const int8_t *restrict before, const int8_t *restrict scores,
                       int8_t *restrict row, int length, int8_t best) {
  for (int k = 0; k < length; k++) {
    const int sum = before[k] + scores[k];
    const int8_t value = (int8_t)(sum < FLOOR ? FLOOR : sum > INT8_MAX ? INT8_MAX : sum);
    row[k + 1] = value;
    best = value > best ? value : best;
  }
  return best;
}

/* S of one target. */
static int best_of(const Query *query, const uint8_t *codes, size_t residues, int8_t *rows) {
  const size_t size = (size_t)query->length + 1, row_bytes = row_vectors(query->vectors);
  int8_t *before = rows, *row = rows + size;
  int8_t best = FLOOR;
  memset(rows, FLOOR, 2 * size);
  for (size_t i = 0; i < residues; i++) {
    const int8_t *scores = query->table + codes[i] * row_bytes;
    best = next_row(before, scores, row, query->length, best);
    int8_t *other = before;
    before = row;
    row = other;
  }
  return best - FLOOR;
}

static void search(const Query *query, const Block *block, uint8_t *kept) {
  for (size_t t = 0; t < block->targets; t++) {
    const size_t residues = block->length[t];
    const int best = best_of(query, block->codes + block->first[t], residues, block->rows);
    if (best >= query->least[residues]) kept[t] = 1;
  }
}

static void classify(const uint8_t *text, size_t words, uint64_t *others, uint64_t *ends) {
  for (size_t word = 0; word < words; word++) {
    uint64_t other = 0, end = 0;
    for (size_t bit = 0; bit < 64; bit++) {
      const uint8_t byte = text[word * 64 + bit];
      other |= (uint64_t)((uint8_t)((byte | 0x20) - 'a') >= 26) << bit;
      end |= (uint64_t)(byte == '\n' || byte == '\r') << bit;
    }
    others[word] = other;
    ends[word] = end;
  }
}

static Use usable(void) { return USABLE; }

const Isa ISA_PLAIN = {"plain", LANES, MOST_VECTORS, usable, search, classify};

#if defined(__x86_64__)
extern const Isa ISA_AVX512, ISA_AVX512_MASKS, ISA_AVX2;
const Isa *const ISAS[] = {&ISA_AVX512, &ISA_AVX512_MASKS, &ISA_AVX2, &ISA_PLAIN, NULL};
#elif defined(__aarch64__)
extern const Isa ISA_NEON;
const Isa *const ISAS[] = {&ISA_NEON, &ISA_PLAIN, NULL};
#else
const Isa *const ISAS[] = {&ISA_PLAIN, NULL};
#endif
