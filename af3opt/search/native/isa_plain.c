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
  const size_t size = (size_t)query->length + 1;
  int8_t *before = rows, *row = rows + size;
  int8_t best = FLOOR;
  memset(rows, FLOOR, 2 * size);
  for (size_t i = 0; i < residues; i++) {
    const int8_t *scores = query->table + (size_t)codes[i] * (size_t)query->vectors;
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

static size_t letters(const uint8_t *text, uint8_t *codes) {
  for (size_t n = 0;; n++) {
    const uint8_t place = (uint8_t)((text[n] | 0x20) - 'a');
    if (place >= 26) return n;
    codes[n] = text[n] & 31;
  }
}

static int usable(void) { return 1; }

const Isa ISA_PLAIN = {"plain", LANES, MOST_VECTORS, usable, search, letters};

#if defined(__x86_64__)
extern const Isa ISA_AVX512, ISA_AVX2;
const Isa *const ISAS[] = {&ISA_AVX512, &ISA_AVX2, &ISA_PLAIN, NULL};
#elif defined(__aarch64__)
extern const Isa ISA_NEON;
const Isa *const ISAS[] = {&ISA_NEON, &ISA_PLAIN, NULL};
#else
const Isa *const ISAS[] = {&ISA_PLAIN, NULL};
#endif
