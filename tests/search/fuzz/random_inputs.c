/* Stands in for libFuzzer: random inputs made of FASTA's parts, and mutations of them. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_BYTES = 1 << 14, HEAD = 12 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const PARTS[] = {
    ">", ">a", ">b c\n", "> d", "\n", "\r\n", "\r", " ", "\t", "ACDEFGHIKLMNPQRSTVWY", "x*",
    "._~", "wyyyylllll", "MKVLAAGIVGLLLAQWERTYHKDSNPCFG\n", "\n>next one\n", "\n>",
};

static size_t make_input(uint8_t *input) {
  size_t size = HEAD;
  for (size_t i = 0; i < HEAD; i++) input[i] = (uint8_t)rand();
  if (rand() % 8) memcpy(input + size, ">first\n", 7), size += 7;
  const int parts = rand() % 300;
  for (int i = 0; i < parts && size + 64 < MOST_BYTES; i++) {
    const char *part = PARTS[(size_t)rand() % (sizeof PARTS / sizeof *PARTS)];
    memcpy(input + size, part, strlen(part));
    size += strlen(part);
  }
  for (int changes = rand() % 4 ? 0 : rand() % 9; changes > 0; changes--)
    input[HEAD + (size_t)rand() % (size - HEAD + 1)] = (uint8_t)rand();
  return size;
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: %s SECONDS SEED\n", arguments[0]);
    return 2;
  }
  const time_t end = time(NULL) + atol(arguments[1]);
  srand((unsigned)atol(arguments[2]));
  static uint8_t input[MOST_BYTES + 1];
  unsigned long inputs = 0;
  for (; time(NULL) < end; inputs++) LLVMFuzzerTestOneInput(input, make_input(input));
  printf("%lu inputs\n", inputs);
  return inputs == 0;
}
