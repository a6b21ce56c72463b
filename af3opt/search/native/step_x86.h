/* One addition and one maximum with the destination registers fixed.
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
#define STEP(value, from, best, row) \
  do {                               \
    (value) = ADD(from, LOAD(row));  \
    (best) = MAX(best, value);       \
  } while (0)
#else
#define STEP(value, from, best, row)                                \
  __asm__("vpaddsb %3, %2, %0\n\tvpmaxsb %0, %1, %1"                \
          : "+v"(value), "+v"(best)                                 \
          : "v"(from), "m"(*(const Vector *)(const void *)(row)))
#endif
