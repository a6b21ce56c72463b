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

/* Reads the record whose '>' is text[start].
 *
 * text[stop .. stop + PADDING) must be zero; `last` says that the file ends at stop. The
 * residues' codes go to `codes`, which needs room for stop - start + PADDING bytes. */
RecordState read_record(const uint8_t *text, size_t start, size_t stop, int last,
                        const Isa *isa, uint8_t *codes, Record *record);

/* Index of the '>' that opens the first record, after blank lines; stop if there are only
 * such; SIZE_MAX if something else comes first. */
size_t first_record(const uint8_t *text, size_t stop);

#endif
