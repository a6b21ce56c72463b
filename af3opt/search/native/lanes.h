/* The search over a block, written once for every instruction set with vectors.
 *
 * The file that includes it defines
 *
 *     LANES, MOST_VECTORS, PAIRED_VECTORS, TARGET (a function attribute), Vector
 *     FILL(byte), LOAD(pointer), ADD(a, b) saturating, MAX(a, b)
 *     STEP(v, from, best, row): v = ADD(from, *row); best = MAX(best, v)
 *     ROTATE(v): lane z moves to lane z + 1, the last to the first
 *     ENTER(v, border): lane z moves to lane z + 1, *border to the first; reads 15 bytes before it
 *     LEAVE(v, border): the last lane goes to *border, others to the 15 bytes before it
 *     REACHES(v, byte): is a lane at least this?
 *
 * and, where comparing is cheaper than keeping the maximum, MASKED and
 *
 *     Mask; MASK(name): the register in which the compiler shall keep a mask
 *     STEP_MASKED(v, from, below, least, row): v = ADD(from, *row); a bit of `below` goes where
 *         a lane of v is at least `least`
 *     ALL_BELOW(x, y, z): is no bit gone?
 *
 * Everything is inlined into one function a number of vectors, so that `vectors` is a
 * constant and the values stay in registers.
 */
#define INLINE static inline __attribute__((always_inline)) TARGET

#ifdef MASKED
#define STEP_AT(s, j, mask)                                                    \
  STEP_MASKED((s).v[j], (s).v[(j) > 0 ? (j)-1 : 0], mask, (s).least, row + (j) * LANES)
#define MASKS(x, y, z, at_x, at_y, at_z)                                       \
  register Mask x MASK(at_x) = ~(Mask)0;                                       \
  register Mask y MASK(at_y) = ~(Mask)0;                                       \
  register Mask z MASK(at_z) = ~(Mask)0
#define RENEW(x, y, z) ((x) = ~(Mask)0, (y) = ~(Mask)0, (z) = ~(Mask)0)
#else
#define STEP_AT(s, j, mask)                                                    \
  STEP((s).v[j], (s).v[(j) > 0 ? (j)-1 : 0], (s).best[(j) % bests], row + (j) * LANES)
#define MASKS(x, y, z, at_x, at_y, at_z)
#define RENEW(x, y, z)
#define ALL_BELOW(x, y, z) 1
#endif

/* Positions are gone through downwards: a vector's old value is needed by the next one. */
#define ONE_POSITION(s, j, mask) if ((j) < vectors) STEP_AT(s, j, mask);
#define ALL_POSITIONS(s, m0, m1, m2, m3, m4, m5)                               \
  ONE_POSITION(s, 15, m3) ONE_POSITION(s, 14, m2) ONE_POSITION(s, 13, m1)      \
  ONE_POSITION(s, 12, m0) ONE_POSITION(s, 11, m5) ONE_POSITION(s, 10, m4)      \
  ONE_POSITION(s, 9, m3) ONE_POSITION(s, 8, m2) ONE_POSITION(s, 7, m1)         \
  ONE_POSITION(s, 6, m0) ONE_POSITION(s, 5, m5) ONE_POSITION(s, 4, m4)         \
  ONE_POSITION(s, 3, m3) ONE_POSITION(s, 2, m2) ONE_POSITION(s, 1, m1)         \
  STEP((s).v[0], entering, (s).best[0], row)

#define ROW(s) (table + *(s).codes++ * row_vectors(vectors) * LANES)

#define ADVANCE(s, ...)                                                        \
  do {                                                                         \
    const int8_t *row = ROW(s);                                                \
    const Vector entering = ROTATE((s).v[vectors - 1]);                        \
    ALL_POSITIONS(s, __VA_ARGS__);                                             \
  } while (0)

/* What the part before left at a residue enters, and what leaves is left for the next part. */
#define ADVANCE_PART(s, before, after, ...)                                    \
  do {                                                                         \
    const int8_t *row = ROW(s);                                                \
    const Vector entering = ENTER((s).v[vectors - 1], before);                 \
    LEAVE((s).v[vectors - 1], after);                                          \
    ALL_POSITIONS(s, __VA_ARGS__);                                             \
  } while (0)

#define EACH(X)                                                                \
  X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/* A target on its way through the query. */
typedef struct {
  Vector v[MOST_VECTORS], best[4];
#ifdef MASKED
  Vector least;
#endif
  const uint8_t *codes;  /* the next residue */
  size_t left;           /* residues to come */
  size_t target;         /* its index in the block */
} Slot;

/* A query on its way through a block. */
typedef struct {
  const Query *query;
  const Block *block;
  uint8_t *kept;
  size_t following;  /* the next target to begin with */
} Work;

/* Puts the next target into a slot. */
INLINE void start(Slot *s, Work *work, const int vectors, const int bests) {
  const Vector floor = FILL(FLOOR);
  s->target = work->following++;
  s->codes = work->block->codes + work->block->first[s->target];
  s->left = work->block->length[s->target];
#define RESET(j) if ((j) < vectors) s->v[(j) < vectors ? (j) : 0] = floor;
  EACH(RESET)
#undef RESET
  s->best[0] = floor;
  if (bests > 1) s->best[1] = floor;
  if (bests > 2) s->best[2] = floor;
  if (bests > 3) s->best[3] = floor;
#ifdef MASKED
  s->least = FILL(work->query->least[s->left] + FLOOR);
#endif
}

/* Notes how the slot's target ended and starts the next one; returns 0 if there is none. */
INLINE int next_target(Slot *s, Work *work, int all_below, const int vectors, const int bests) {
  const uint8_t least = work->query->least[work->block->length[s->target]];
  Vector best = s->best[0];
  if (bests > 1) best = MAX(best, s->best[1]);
  if (bests > 2) best = MAX(best, s->best[2]);
  if (bests > 3) best = MAX(best, s->best[3]);
  if (!all_below || REACHES(best, (int8_t)(least + FLOOR))) work->kept[s->target] = 1;
  if (work->following == work->block->targets) return 0;
  start(s, work, vectors, bests);
  return 1;
}

/* One target after the other. */
INLINE void search_single(const Query *query, const Block *block, uint8_t *kept,
                          const int vectors, const int bests) {
  const int8_t *const table = query->table;
  Work work = {query, block, kept, 0};
  Slot s;
  MASKS(u, v, w, "k1", "k2", "k3");
  MASKS(x, y, z, "k4", "k5", "k6");
  start(&s, &work, vectors, bests);
  for (;;) {
    for (size_t n = s.left; n > 0; n--) ADVANCE(s, u, v, w, x, y, z);
    const int all_below = ALL_BELOW(u, v, w) && ALL_BELOW(x, y, z);
    if (!next_target(&s, &work, all_below, vectors, bests)) return;
    RENEW(u, v, w);
    RENEW(x, y, z);
  }
}

/* Two targets at a time: with few vectors each waits for itself, and the other fills the gap. */
INLINE void search_paired(const Query *query, const Block *block, uint8_t *kept,
                          const int vectors, const int bests) {
  const int8_t *const table = query->table;
  Work work = {query, block, kept, 0};
  Slot a, b;
  MASKS(ax, ay, az, "k1", "k2", "k3");
  MASKS(bx, by, bz, "k4", "k5", "k6");
  start(&a, &work, vectors, bests);
  start(&b, &work, vectors, bests);
  for (;;) {
    const size_t both = a.left < b.left ? a.left : b.left;
    for (size_t n = both; n > 0; n--) {
      ADVANCE(a, ax, ay, az, ax, ay, az);
      ADVANCE(b, bx, by, bz, bx, by, bz);
    }
    a.left -= both;
    b.left -= both;
    if (a.left == 0) {
      if (!next_target(&a, &work, ALL_BELOW(ax, ay, az), vectors, bests)) break;
      RENEW(ax, ay, az);
    }
    if (b.left == 0) {
      if (!next_target(&b, &work, ALL_BELOW(bx, by, bz), vectors, bests)) break;
      RENEW(bx, by, bz);
    }
  }
  /* One has ended, or both in the same residue. */
  if (a.left > 0) {
    for (size_t n = a.left; n > 0; n--) ADVANCE(a, ax, ay, az, ax, ay, az);
    next_target(&a, &work, ALL_BELOW(ax, ay, az), vectors, bests);
  } else {
    for (size_t n = b.left; n > 0; n--) ADVANCE(b, bx, by, bz, bx, by, bz);
    next_target(&b, &work, ALL_BELOW(bx, by, bz), vectors, bests);
  }
}

/* One part of a long query.
 *
 * The arrays of border values run downwards, because LEAVE also writes to the bytes before. */
INLINE void search_part(Work *work, const int8_t *table, const int8_t *before, int8_t *after,
                        const int vectors, const int bests) {
  Slot s;
  MASKS(u, v, w, "k1", "k2", "k3");
  MASKS(x, y, z, "k4", "k5", "k6");
  start(&s, work, vectors, bests);
  for (;;) {
    /* At a target's first residue that is the separating code, whose value is the floor. */
    const ptrdiff_t place = s.codes - work->block->codes - 1;
    const int8_t *entry = before - place;
    int8_t *exit = after - place;
    for (size_t n = s.left; n > 0; n--, entry--, exit--)
      ADVANCE_PART(s, entry, exit, u, v, w, x, y, z);
    const int all_below = ALL_BELOW(u, v, w) && ALL_BELOW(x, y, z);
    if (!next_target(&s, work, all_below, vectors, bests)) return;
    RENEW(u, v, w);
    RENEW(x, y, z);
  }
}

/* A long query in parts, each of which fits the registers. */
INLINE void search_parts(const Query *query, const Block *block, uint8_t *kept,
                         const int vectors, const int bests) {
  const size_t size = CODES * row_vectors(vectors) * LANES;
  int8_t *before = block->borders[0] + BORDER_BYTES - 1;
  int8_t *after = block->borders[1] + BORDER_BYTES - 1;
  memset(before - block->used, FLOOR, block->used + 1);
  for (int part = 0; part < query->parts; part++) {
    Work work = {query, block, kept, 0};
    search_part(&work, query->table + (size_t)part * size, before, after, vectors, bests);
    int8_t *const other = before;
    before = after;
    after = other;
  }
}

/* Maxima, each of some positions: one alone would be waited for. */
#ifdef MASKED
#define BESTS(vectors, slots) 1  /* of the first vector alone */
#else
#define BESTS(vectors, slots) ((vectors) >= 4 && (slots) == 1 ? 4 : (vectors) >= 2 ? 2 : 1)
#endif
#ifndef PART_BESTS
#define PART_BESTS(vectors) BESTS(vectors, 1)
#endif

#define DEFINE_WHOLE(n)                                                        \
  static TARGET void whole_##n(const Query *query, const Block *block, uint8_t *kept) { \
    if ((n) <= PAIRED_VECTORS && block->targets > 1)                           \
      search_paired(query, block, kept, n, BESTS(n, 2));                       \
    else                                                                       \
      search_single(query, block, kept, n, BESTS(n, 1));                       \
  }
#define DEFINE_PARTS(n)                                                        \
  static TARGET void parts_##n(const Query *query, const Block *block, uint8_t *kept) { \
    search_parts(query, block, kept, n, PART_BESTS(n));                        \
  }

typedef void Search(const Query *, const Block *, uint8_t *);
