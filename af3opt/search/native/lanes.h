/* The search over a block, written once for every instruction set with vectors.
 *
 * The file that includes it defines
 *
 *     LANES, MOST_VECTORS, PAIRED_VECTORS, TARGET (a function attribute), Vector
 *     FILL(byte), LOAD(pointer), ADD(a, b) saturating, MAX(a, b)
 *     STEP(v, from, best, row): v = ADD(from, *row); best = MAX(best, v)
 *     ROTATE(v): lane z moves to lane z + 1, the last to the first
 *     FIRST(v): the first lane; WITH_FIRST(v, byte): v with another first lane
 *     REACHES(v, byte): is a lane at least this?
 *
 * Everything is inlined into one function a number of vectors, so that `vectors` is a
 * constant and the values stay in registers.
 */
#define INLINE static inline __attribute__((always_inline)) TARGET

/* Positions are gone through downwards: a vector's old value is needed by the next one. */
#define ONE_POSITION(j)                                                            \
  if ((j) < vectors && (j) > 0)                                                    \
    STEP(s->v[j], s->v[(j) > 0 ? (j)-1 : 0], s->best[(j) % bests], row + (j) * LANES);
#define ALL_POSITIONS                                                              \
  ONE_POSITION(15) ONE_POSITION(14) ONE_POSITION(13) ONE_POSITION(12)              \
  ONE_POSITION(11) ONE_POSITION(10) ONE_POSITION(9) ONE_POSITION(8)                \
  ONE_POSITION(7) ONE_POSITION(6) ONE_POSITION(5) ONE_POSITION(4)                  \
  ONE_POSITION(3) ONE_POSITION(2) ONE_POSITION(1)
#define EACH(X)                                                                    \
  X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/* A target on its way through the query. */
typedef struct {
  Vector v[MOST_VECTORS], best[4];
  const uint8_t *codes;  /* the next residue */
  size_t left;           /* residues to come */
  size_t target;         /* its index in the block */
} Slot;

INLINE void reset(Slot *s, const int vectors, const int bests) {
  const Vector floor = FILL(FLOOR);
#define RESET(j) if ((j) < vectors) s->v[(j) < vectors ? (j) : 0] = floor;
  EACH(RESET)
#undef RESET
  s->best[0] = floor;
  if (bests > 1) s->best[1] = floor;
  if (bests > 2) s->best[2] = s->best[3] = floor;
}

INLINE void advance(Slot *s, const int8_t *table, const int vectors, const int bests) {
  const int8_t *row = table + (size_t)*s->codes++ * (size_t)(vectors * LANES);
  Vector entering = ROTATE(s->v[vectors - 1]);
  ALL_POSITIONS
  STEP(s->v[0], entering, s->best[0], row);
}

/* As advance, with the border values of the part before; leaves its own in their place. */
INLINE void advance_part(Slot *s, const int8_t *table, int8_t *border, const int vectors,
                         const int bests) {
  const int8_t *row = table + (size_t)*s->codes++ * (size_t)(vectors * LANES);
  Vector entering = ROTATE(s->v[vectors - 1]);
  const int8_t before = *border;
  *border = FIRST(entering);
  entering = WITH_FIRST(entering, before);
  ALL_POSITIONS
  STEP(s->v[0], entering, s->best[0], row);
}

INLINE int reached(const Slot *s, uint8_t least, const int bests) {
  Vector best = s->best[0];
  if (bests > 1) best = MAX(best, s->best[1]);
  if (bests > 2) best = MAX(best, MAX(s->best[2], s->best[3]));
  return REACHES(best, (int8_t)(least + FLOOR));
}

/* Notes how the slot's target ended and puts the next one in; returns 0 if there is none. */
INLINE int next_target(Slot *s, const Query *query, const Block *block, uint8_t *kept,
                       size_t *following, const int vectors, const int bests) {
  if (reached(s, query->least[block->length[s->target]], bests)) kept[s->target] = 1;
  if (*following == block->targets) return 0;
  s->target = (*following)++;
  s->codes = block->codes + block->first[s->target];
  s->left = block->length[s->target];
  reset(s, vectors, bests);
  return 1;
}

INLINE void first_target(Slot *s, const Block *block, size_t target, const int vectors,
                         const int bests) {
  s->target = target;
  s->codes = block->codes + block->first[target];
  s->left = block->length[target];
  reset(s, vectors, bests);
}

/* One target after the other. */
INLINE void search_single(const Query *query, const Block *block, uint8_t *kept,
                          const int vectors, const int bests) {
  const int8_t *table = query->table;
  size_t following = 1;
  Slot s;
  first_target(&s, block, 0, vectors, bests);
  do {
    for (size_t n = s.left; n > 0; n--) advance(&s, table, vectors, bests);
  } while (next_target(&s, query, block, kept, &following, vectors, bests));
}

/* Two targets at a time: with few vectors each waits for itself, and the other fills the gap. */
INLINE void search_paired(const Query *query, const Block *block, uint8_t *kept,
                          const int vectors, const int bests) {
  if (block->targets == 1) {
    search_single(query, block, kept, vectors, bests);
    return;
  }
  const int8_t *table = query->table;
  size_t following = 2;
  Slot a, b;
  first_target(&a, block, 0, vectors, bests);
  first_target(&b, block, 1, vectors, bests);
  for (;;) {
    const size_t both = a.left < b.left ? a.left : b.left;
    for (size_t n = both; n > 0; n--) {
      advance(&a, table, vectors, bests);
      advance(&b, table, vectors, bests);
    }
    a.left -= both;
    b.left -= both;
    if (a.left == 0 && !next_target(&a, query, block, kept, &following, vectors, bests)) {
      a = b;
      break;
    }
    if (b.left == 0 && !next_target(&b, query, block, kept, &following, vectors, bests)) break;
  }
  for (size_t n = a.left; n > 0; n--) advance(&a, table, vectors, bests);
  next_target(&a, query, block, kept, &following, vectors, bests);
}

/* A long query in parts, each of which fits the registers. */
INLINE void search_parts(const Query *query, const Block *block, uint8_t *kept,
                         const int vectors, const int bests) {
  const size_t size = (size_t)CODES * (size_t)(vectors * LANES);
  memset(block->border, FLOOR, block->used);
  for (int part = 0; part < query->parts; part++) {
    const int8_t *table = query->table + (size_t)part * size;
    size_t following = 1;
    Slot s;
    first_target(&s, block, 0, vectors, bests);
    do {
      int8_t *border = block->border + (s.codes - block->codes) - 1;
      for (size_t n = s.left; n > 0; n--) advance_part(&s, table, border++, vectors, bests);
    } while (next_target(&s, query, block, kept, &following, vectors, bests));
  }
}

#define BESTS(vectors) ((vectors) >= 4 ? 4 : (vectors) >= 2 ? 2 : 1)

#define DEFINE_WHOLE(n)                                                            \
  static TARGET void whole_##n(const Query *query, const Block *block, uint8_t *kept) { \
    if ((n) <= PAIRED_VECTORS)                                                     \
      search_paired(query, block, kept, n, (n) >= 2 ? 2 : 1);                      \
    else                                                                           \
      search_single(query, block, kept, n, BESTS(n));                              \
  }
#define DEFINE_PARTS(n)                                                            \
  static TARGET void parts_##n(const Query *query, const Block *block, uint8_t *kept) { \
    search_parts(query, block, kept, n, BESTS(n));                                 \
  }

typedef void Search(const Query *, const Block *, uint8_t *);
