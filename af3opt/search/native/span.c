/* Reads a span into a private buffer, block by block, and lets every query go over each block.
 *
 * A private buffer, not a mapping: a mapped file that somebody truncates kills the process.
 */
#include "span.h"

#include <stdlib.h>
#include <string.h>

#include "fasta.h"

enum {
  LOOK_AHEAD = 1 << 14    /* bytes behind a span's end that are read for its last record */
};

typedef struct {
  const Span *span;
  SpanResult *result;
  uint8_t *text;       /* the file from offset `base` on, then PADDING zeros */
  uint64_t *others, *ends;  /* masks of text */
  size_t capacity;     /* of text, without the padding */
  size_t stop;         /* bytes in text */
  size_t at;           /* bytes of text that are dealt with */
  uint64_t base;
  int past_end;        /* a line feed at or behind end - 1 is dealt with */
  Block block;
  size_t code_capacity;
  size_t opens[MOST_BLOCK_TARGETS], closes[MOST_BLOCK_TARGETS];  /* the block's records in text */
  uint8_t kept[MOST_BLOCK_TARGETS];
} Scanner;

static int failed(Scanner *scanner, SpanState state, uint64_t offset) {
  scanner->result->state = state;
  scanner->result->offset = offset;
  return 0;
}

static int at_end_of_file(const Scanner *scanner) {
  return scanner->base + scanner->stop == scanner->span->size;
}

static int grow(void **memory, size_t bytes) {
  void *grown = realloc(*memory, bytes);
  if (grown) *memory = grown;
  return grown != NULL;
}

/* Makes room for `capacity` bytes of text and as many codes behind a block's. */
static int reserve(Scanner *scanner, size_t capacity) {
  const size_t codes = BLOCK_CODES + LONGEST_TARGET + capacity + 2 * PADDING;
  const size_t mask = (mask_words(capacity) + 1) * sizeof(uint64_t);
  if (!grow((void **)&scanner->text, capacity + 2 * PADDING) ||
      !grow((void **)&scanner->block.codes, codes) || !grow((void **)&scanner->others, mask) ||
      !grow((void **)&scanner->ends, mask))
    return failed(scanner, SPAN_NO_MEMORY, 0);
  scanner->capacity = capacity;
  return 1;
}

/* Deals with text up to `at`. */
static void move_to(Scanner *scanner, size_t at) {
  const uint64_t end = scanner->span->end;
  if (!scanner->past_end && scanner->base + at >= end) {
    size_t from = scanner->at;
    if (scanner->base + from + 1 < end) from = (size_t)(end - 1 - scanner->base);
    scanner->past_end = memchr(scanner->text + from, '\n', at - from) != NULL;
  }
  scanner->at = at;
}

/* Drops what is dealt with and reads on; returns 0 on an error. */
static int read_on(Scanner *scanner) {
  const Span *span = scanner->span;
  scanner->stop -= scanner->at;
  memmove(scanner->text, scanner->text + scanner->at, scanner->stop);
  scanner->base += scanner->at;
  scanner->at = 0;
  if (scanner->stop == scanner->capacity) {
    if (scanner->capacity >= MOST_RECORD_BYTES)
      return failed(scanner, SPAN_TOO_LONG, scanner->base);
    if (!reserve(scanner, 2 * scanner->capacity)) return 0;
  }
  uint64_t wanted = scanner->base + scanner->capacity;
  const uint64_t reached = scanner->base + scanner->stop;
  const uint64_t enough = (reached > span->end ? reached : span->end) + LOOK_AHEAD;
  if (wanted > enough) wanted = enough;
  if (wanted > span->size) wanted = span->size;
  while (scanner->base + scanner->stop < wanted) {
    const uint64_t offset = scanner->base + scanner->stop;
    const int64_t got = span->read(span->source, scanner->text + scanner->stop,
                                   (size_t)(wanted - offset), offset);
    if (got < 0) {
      scanner->result->error = (int)-got;
      return failed(scanner, SPAN_UNREADABLE, offset);
    }
    if (got == 0) return failed(scanner, SPAN_TRUNCATED, offset);
    scanner->stop += (size_t)got;
  }
  /* Whole words of the masks, one of them beyond the text. */
  memset(scanner->text + scanner->stop, 0, 2 * PADDING);
  span->queries[0]->isa->classify(scanner->text, mask_words(scanner->stop) + 1, scanner->others,
                                  scanner->ends);
  return 1;
}

static int append(Scanner *scanner, Survivors *survivors, size_t open, size_t close) {
  const size_t bytes = close - open;
  if (survivors->capacity - survivors->used < bytes) {
    const size_t capacity = (survivors->used + bytes) * 2;
    uint8_t *grown = realloc(survivors->bytes, capacity);
    if (!grown) return failed(scanner, SPAN_NO_MEMORY, 0);
    survivors->bytes = grown;
    survivors->capacity = capacity;
  }
  memcpy(survivors->bytes + survivors->used, scanner->text + open, bytes);
  survivors->used += bytes;
  survivors->targets++;
  return 1;
}

static void empty_block(Scanner *scanner) {
  scanner->block.targets = 0;
  scanner->block.codes[0] = 0;
  scanner->block.used = 1;
}

/* Lets every query go over the block and keeps the survivors' records. */
static int search_block(Scanner *scanner) {
  const Block *block = &scanner->block;
  for (size_t q = 0; block->targets > 0 && q < scanner->span->query_count; q++) {
    const Query *query = scanner->span->queries[q];
    memset(scanner->kept, 0, block->targets);
    query->isa->search(query, block, scanner->kept);
    for (size_t t = 0; t < block->targets; t++)
      if (scanner->kept[t] && !append(scanner, &scanner->result->survivors[q],
                                      scanner->opens[t], scanner->closes[t]))
        return 0;
  }
  empty_block(scanner);
  return 1;
}

/* HMMER refuses a target of this length; it shall see it, whatever the query. */
static int keep_for_all(Scanner *scanner, size_t open, size_t close) {
  if (!search_block(scanner)) return 0;
  for (size_t q = 0; q < scanner->span->query_count; q++)
    if (!append(scanner, &scanner->result->survivors[q], open, close)) return 0;
  return 1;
}

static int add_record(Scanner *scanner, const Record *record) {
  Block *block = &scanner->block;
  scanner->result->targets++;
  scanner->result->residues += record->residues;
  if (record->residues == 0) return 1;  /* HMMER counts it and searches nothing. */
  if (record->residues > LONGEST_TARGET) return keep_for_all(scanner, scanner->at, record->end);
  const size_t t = block->targets++;
  block->first[t] = (uint32_t)block->used;
  block->length[t] = (uint32_t)record->residues;
  scanner->opens[t] = scanner->at;
  scanner->closes[t] = record->end;
  block->used += record->residues;
  block->codes[block->used++] = 0;
  if (block->used >= BLOCK_CODES || block->targets == MOST_BLOCK_TARGETS)
    return search_block(scanner);
  return 1;
}

/* Deals with the whole records in text; returns 1 to go on, 0 at the end or on an error. */
static int search_text(Scanner *scanner) {
  const Text text = {scanner->text, scanner->stop, at_end_of_file(scanner), scanner->others,
                     scanner->ends};
  while (scanner->at < scanner->stop && !scanner->past_end) {
    Record record;
    uint8_t *codes = scanner->block.codes + scanner->block.used;
    const RecordState state = read_record(&text, scanner->at, codes, &record);
    if (state == RECORD_CUT) break;
    if (state == RECORD_ODD) return failed(scanner, SPAN_NOT_FASTA, scanner->base + record.odd);
    if (!add_record(scanner, &record)) return 0;
    move_to(scanner, record.end);
  }
  /* The block's records are in text, which is about to change. */
  if (!search_block(scanner)) return 0;
  return !scanner->past_end && !(at_end_of_file(scanner) && scanner->at == scanner->stop);
}

/* Moves to the first record of a file; returns 0 if there is none. */
static int find_first(Scanner *scanner) {
  if (!read_on(scanner)) return 0;
  const size_t open = first_record(scanner->text, scanner->stop);
  if (open >= scanner->stop) return failed(scanner, SPAN_NOT_FASTA, 0);
  move_to(scanner, open);
  return 1;
}

/* Moves to the border of the span's beginning; returns 0 if no record of the span is there. */
static int find_border(Scanner *scanner) {
  uint8_t wanted = '\n';
  scanner->base = scanner->span->begin - 1;
  for (;;) {
    if (!read_on(scanner)) return 0;
    const uint8_t *found =
        memchr(scanner->text + scanner->at, wanted, scanner->stop - scanner->at);
    while (found && wanted == '\n') {
      move_to(scanner, (size_t)(found - scanner->text) + 1);
      wanted = '>';
      found = memchr(scanner->text + scanner->at, wanted, scanner->stop - scanner->at);
    }
    move_to(scanner, found ? (size_t)(found - scanner->text) : scanner->stop);
    if (scanner->past_end || (!found && at_end_of_file(scanner))) return 0;
    if (found) return 1;
    /* A line feed this far behind would be one past the end. */
    if (wanted == '\n' && scanner->base + scanner->stop >= scanner->span->end) return 0;
  }
}

static int prepare(Scanner *scanner) {
  const Span *span = scanner->span;
  int longest = 0;
  for (size_t q = 0; q < span->query_count; q++)
    if (span->queries[q]->length > longest) longest = span->queries[q]->length;
  scanner->result->survivors = calloc(span->query_count, sizeof(Survivors));
  scanner->block.borders[0] = malloc(2 * BORDER_BYTES);
  scanner->block.rows = malloc(2 * ((size_t)longest + 1));
  if (!scanner->result->survivors || !scanner->block.borders[0] || !scanner->block.rows)
    return failed(scanner, SPAN_NO_MEMORY, 0);
  scanner->block.borders[1] = scanner->block.borders[0] + BORDER_BYTES;
  if (!reserve(scanner, span->buffer_bytes)) return 0;
  empty_block(scanner);
  return 1;
}

void scan_span(const Span *span, SpanResult *result) {
  memset(result, 0, sizeof *result);
  Scanner *scanner = calloc(1, sizeof *scanner);
  if (!scanner) {
    result->state = SPAN_NO_MEMORY;
    return;
  }
  scanner->span = span;
  scanner->result = result;
  /* The border of a file's end is behind its last record. */
  if (prepare(scanner) && (span->begin == 0 ? find_first(scanner) : find_border(scanner)))
    while (search_text(scanner) && read_on(scanner)) continue;
  free(scanner->text);
  free(scanner->others);
  free(scanner->ends);
  free(scanner->block.codes);
  free(scanner->block.borders[0]);
  free(scanner->block.rows);
  free(scanner);
}

void span_result_release(SpanResult *result, size_t query_count) {
  for (size_t q = 0; result->survivors && q < query_count; q++)
    free(result->survivors[q].bytes);
  free(result->survivors);
  result->survivors = NULL;
}
