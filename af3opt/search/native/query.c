/* A query's scores in the order in which an instruction set reads them. */
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

enum { CACHE_LINE = 64 };

const Isa *find_isa(const char *name) {
  for (const Isa *const *isa = ISAS; *isa; isa++)
    if (strcmp((*isa)->name, name) == 0) return *isa;
  return NULL;
}

/* Lane z of vector q of a part holds the part's position q + z * vectors. */
static void stripe(const Query *query, const int8_t *scores) {
  const size_t lanes = (size_t)query->isa->lanes, vectors = (size_t)query->vectors;
  const size_t width = lanes * vectors, length = (size_t)query->length;
  const size_t row_bytes = row_vectors(query->vectors) * lanes;
  for (size_t part = 0; part < (size_t)query->parts; part++)
    for (size_t code = 0; code < CODES; code++) {
      int8_t *row = query->table + (part * CODES + code) * row_bytes;
      for (size_t q = 0; q < vectors; q++)
        for (size_t z = 0; z < lanes; z++) {
          const size_t position = part * width + q + z * vectors;
          row[q * lanes + z] = position < length ? scores[code * length + position] : FLOOR;
        }
    }
}

int query_prepare(Query *query, const Isa *isa, const int8_t *scores, int length,
                  const uint8_t *least) {
  /* One position more than the query has: its value is always the floor, which a rotation
   * of the last vector brings to the query's first position. */
  const int positions = length + 1;
  const int most = isa->lanes * isa->most_vectors;
  memset(query, 0, sizeof *query);
  query->isa = isa;
  query->length = length;
  query->parts = (positions + most - 1) / most;
  query->vectors = (positions + query->parts * isa->lanes - 1) / (query->parts * isa->lanes);
  const size_t size =
      (size_t)query->parts * CODES * row_vectors(query->vectors) * (size_t)isa->lanes;
  query->table = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
  query->least = malloc(LONGEST_TARGET + 1);
  if (!query->table || !query->least) {
    query_release(query);
    return -1;
  }
  memcpy(query->least, least, LONGEST_TARGET + 1);
  stripe(query, scores);
  return 0;
}

void query_release(Query *query) {
  free(query->table);
  free(query->least);
  query->table = NULL;
  query->least = NULL;
}
