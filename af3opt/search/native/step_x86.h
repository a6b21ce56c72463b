/* One addition and one maximum or comparison with the destination registers fixed.
 *
 * Left to itself, GCC 12 gives every new value a register of its own and then moves and
 * spills. Sanitizers do not see what assembly reads, so that they get the intrinsics.
 */
#if defined(__SANITIZE_ADDRESS__)
#define NO_ASSEMBLY 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define NO_ASSEMBLY 1
#endif
#endif

#ifdef NO_ASSEMBLY
#define MASK(name)
#define STEP_MASKED(value, from, below, least, row)                  \
  do {                                                               \
    (value) = ADD(from, LOAD(row));                                  \
    (below) = _mm512_mask_cmpgt_epi8_mask(below, least, value);      \
  } while (0)
#define STEP(value, from, best, row) \
  do {                               \
    (value) = ADD(from, LOAD(row));  \
    (best) = MAX(best, value);       \
  } while (0)
#else
#define MASK(name) __asm__(name)
#define STEP_MASKED(value, from, below, least, row)                      \
  __asm__("vpaddsb %4, %2, %0\n\tvpcmpgtb %0, %3, %1%{%1%}"             \
          : "+v"(value), "+Yk"(below)                                   \
          : "v"(from), "v"(least), "m"(*(const Vector *)(const void *)(row)))
#define STEP(value, from, best, row)                                \
  __asm__("vpaddsb %3, %2, %0\n\tvpmaxsb %0, %1, %1"                \
          : "+v"(value), "+v"(best)                                 \
          : "v"(from), "m"(*(const Vector *)(const void *)(row)))
#endif
