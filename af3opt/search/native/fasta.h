/* FASTA as HMMER reads it, so that both see the same targets. */
#ifndef AF3OPT_FASTA_H
#define AF3OPT_FASTA_H

#include "kernel.h"

typedef enum {
  RECORD_WHOLE,
  RECORD_CUT,  /* the text ends before the record does */
  RECORD_ODD   /* HMMER would refuse it */
} RecordState;

typedef struct {
  size_t end;       /* index of the first byte after the record */
  size_t residues;
  size_t odd;       /* RECORD_ODD: index of the byte that is not understood */
} Record;

/* Text with what its bytes are.
 *
 * text[stop .. stop + PADDING) must be zero. The masks are those of Isa.classify and reach one
 * word beyond the one of `stop`. */
typedef struct {
  const uint8_t *text;
  size_t stop;
  int last;  /* the file ends at stop */
  const uint64_t *others, *ends;
} Text;

/* Words of a mask for so many bytes. */
static inline size_t mask_words(size_t bytes) { return bytes / 64 + 1; }

/* Reads the record whose '>' is text[start].
 *
 * The residues' codes go to `codes`, which needs room for stop - start + PADDING bytes. */
RecordState read_record(const Text *text, size_t start, uint8_t *codes, Record *record);

/* Index of the '>' that opens the first record, after blank lines; stop if there are only
 * such; SIZE_MAX if something else comes first. */
size_t first_record(const uint8_t *text, size_t stop);

#endif
