/* A stretch of a FASTA file, read once for several queries. */
#ifndef AF3OPT_SPAN_H
#define AF3OPT_SPAN_H

#include "kernel.h"

typedef enum {
  SPAN_DONE,
  SPAN_NO_MEMORY,
  SPAN_UNREADABLE,  /* `error` is the errno */
  SPAN_TRUNCATED,   /* the file ends before `size` */
  SPAN_NOT_FASTA,   /* HMMER would refuse the byte or record at `offset` */
  SPAN_TOO_LONG     /* one record is longer than MOST_RECORD_BYTES */
} SpanState;

enum { MOST_RECORD_BYTES = 1 << 24 };

/* Reads up to `bytes` at an offset; returns their number, 0 at the end, or -errno. */
typedef int64_t ReadAt(void *source, uint8_t *into, size_t bytes, uint64_t offset);

/* The records of a span are those that open between two borders. The border of an offset is
 * the first record after the first line feed at or behind offset - 1; that of 0 is the first
 * record. Spans that share an offset share a border, so that together they hold every
 * record once, wherever the offsets fall. */
typedef struct {
  ReadAt *read;
  void *source;
  uint64_t begin, end, size;  /* offsets of the span and size of the file, in bytes */
  size_t buffer_bytes;        /* read at a time; grows for a longer record */
  const Query *const *queries;
  size_t query_count;
} Span;

/* Whole records, byte for byte and in the file's order. */
typedef struct {
  uint8_t *bytes;
  size_t used, capacity;
  uint64_t targets;
} Survivors;

typedef struct {
  SpanState state;
  int error;
  uint64_t offset;
  uint64_t targets, residues;
  Survivors *survivors;  /* one for each query */
} SpanResult;

/* Needs no lock of Python's. The caller owns the result, whatever its state. */
void scan_span(const Span *span, SpanResult *result);
void span_result_release(SpanResult *result, size_t query_count);

#endif
