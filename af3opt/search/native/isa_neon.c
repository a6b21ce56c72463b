/* 16 positions a vector: NEON, which every 64-bit ARM processor has. */
#include <string.h>

#include "kernel.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define LANES 16
#define MOST_VECTORS 16
#define PAIRED_VECTORS 6
#define TARGET
typedef int8x16_t Vector;

#define FILL(byte) vdupq_n_s8((int8_t)(byte))
#define LOAD(pointer) vld1q_s8(pointer)
#define ADD(a, b) vqaddq_s8(a, b)
#define MAX(a, b) vmaxq_s8(a, b)
#define ROTATE(v) vextq_s8(v, v, 15)
#define ENTER(v, border) vextq_s8(vld1q_s8((border)-15), v, 15)
#define LEAVE(v, border) vst1q_s8((border)-15, v)
#define REACHES(v, byte) (vmaxvq_s8(v) >= (byte))
#define STEP(value, from, best, row) \
  do {                               \
    (value) = ADD(from, LOAD(row));  \
    (best) = MAX(best, value);       \
  } while (0)
#include "lanes.h"

DEFINE_WHOLE(1) DEFINE_WHOLE(2) DEFINE_WHOLE(3) DEFINE_WHOLE(4) DEFINE_WHOLE(5) DEFINE_WHOLE(6)
DEFINE_WHOLE(7) DEFINE_WHOLE(8) DEFINE_WHOLE(9) DEFINE_WHOLE(10) DEFINE_WHOLE(11)
DEFINE_WHOLE(12) DEFINE_WHOLE(13) DEFINE_WHOLE(14) DEFINE_WHOLE(15) DEFINE_WHOLE(16)
DEFINE_PARTS(9) DEFINE_PARTS(10) DEFINE_PARTS(11) DEFINE_PARTS(12)
DEFINE_PARTS(13) DEFINE_PARTS(14) DEFINE_PARTS(15) DEFINE_PARTS(16)

static Search *const WHOLE[] = {whole_1,  whole_2,  whole_3,  whole_4,  whole_5,  whole_6,
                                whole_7,  whole_8,  whole_9,  whole_10, whole_11, whole_12,
                                whole_13, whole_14, whole_15, whole_16};
/* A second part means that more than half of the most vectors are in use. */
static Search *const PARTS[] = {parts_9,  parts_10, parts_11, parts_12,
                                parts_13, parts_14, parts_15, parts_16};

static void search(const Query *query, const Block *block, uint8_t *kept) {
  if (query->parts == 1)
    WHOLE[query->vectors - 1](query, block, kept);
  else
    PARTS[query->vectors - 9](query, block, kept);
}

/* One bit for every byte: all bits of a byte are set or none. NEON has no such instruction. */
static inline uint64_t bits_of(uint8x16_t first, uint8x16_t second, uint8x16_t third,
                               uint8x16_t fourth) {
  static const uint8_t places[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const uint8x16_t bit = vld1q_u8(places);
  const uint8x16_t low = vpaddq_u8(vandq_u8(first, bit), vandq_u8(second, bit));
  const uint8x16_t high = vpaddq_u8(vandq_u8(third, bit), vandq_u8(fourth, bit));
  const uint8x16_t sums = vpaddq_u8(low, high);
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

static void classify(const uint8_t *text, size_t words, uint64_t *others, uint64_t *ends) {
  for (size_t word = 0; word < words; word++) {
    uint8x16_t other[4], end[4];
    for (size_t i = 0; i < 4; i++) {
      const uint8x16_t bytes = vld1q_u8(text + word * 64 + i * LANES);
      const uint8x16_t place = vsubq_u8(vorrq_u8(bytes, vdupq_n_u8(0x20)), vdupq_n_u8('a'));
      other[i] = vcgeq_u8(place, vdupq_n_u8(26));
      end[i] = vorrq_u8(vceqq_u8(bytes, vdupq_n_u8('\n')), vceqq_u8(bytes, vdupq_n_u8('\r')));
    }
    others[word] = bits_of(other[0], other[1], other[2], other[3]);
    ends[word] = bits_of(end[0], end[1], end[2], end[3]);
  }
}

static Use usable(void) { return USABLE; }

const Isa ISA_NEON = {"neon", LANES, MOST_VECTORS, usable, search, classify};
#endif
