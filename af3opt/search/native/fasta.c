/* FASTA as HMMER's own reader understands it:
 *
 * - a record begins at any '>' outside a header, even in the middle of a line;
 * - a header ends at the first line feed or carriage return;
 * - the name must not be empty; the rest of a header may hold any bytes;
 * - letters, '*', '.', '_' and '~' are residues, '-' and everything else is refused;
 * - blanks, tabs and line ends between residues mean nothing.
 */
#include "fasta.h"

/* Independent of the locale. */
static int is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* Index of the first set bit at or behind `at`; `stop` if there is none before it. */
static inline size_t next_bit(const uint64_t *mask, size_t at, size_t stop) {
  for (; at < stop; at += 64) {
    const size_t word = at / 64, shift = at % 64;
    const uint64_t bits = mask[word] >> shift | mask[word + 1] << 1 << (63 - shift);
    if (bits) {
      at += (size_t)__builtin_ctzll(bits);
      return at < stop ? at : stop;
    }
  }
  return stop;
}

/* Codes of so many letters; reads and writes up to 63 bytes more. */
static inline void write_codes(const uint8_t *letters, size_t count, uint8_t *codes) {
  for (size_t done = 0; done < count; done += 64)
    for (size_t i = 0; i < 64; i++) codes[done + i] = letters[done + i] & 31;
}

/* Code of a residue that is no letter; 0 for other bytes. */
static uint8_t unusual_code(uint8_t byte) {
  switch (byte) {
    case '*': return CODE_STAR;
    case '.': case '_': return CODE_GAP;
    case '~': return CODE_MISSING;
    default: return 0;
  }
}

static RecordState read_residues(const Text *text, uint8_t *codes, Record *record) {
  size_t at = record->end, residues = 0;
  RecordState state = RECORD_WHOLE;
  for (;;) {
    const size_t end = next_bit(text->others, at, text->stop);
    write_codes(text->text + at, end - at, codes + residues);
    residues += end - at;
    at = end;
    if (at == text->stop) {
      if (!text->last) state = RECORD_CUT;
      break;
    }
    const uint8_t byte = text->text[at];
    if (byte == '>') break;
    if (byte != '\n' && byte != '\r' && byte != ' ' && byte != '\t') {
      const uint8_t code = unusual_code(byte);
      if (!code) {
        record->odd = at;
        return RECORD_ODD;
      }
      codes[residues++] = code;
    }
    at++;
  }
  record->end = at;
  record->residues = residues;
  return state;
}

RecordState read_record(const Text *text, size_t start, uint8_t *codes, Record *record) {
  size_t at = start + 1;
  record->residues = 0;
  while (at < text->stop && (text->text[at] == ' ' || text->text[at] == '\t')) at++;
  if (at == text->stop ? text->last : is_space(text->text[at])) {
    record->odd = start;
    return RECORD_ODD;
  }
  record->end = next_bit(text->ends, at, text->stop);
  if (record->end == text->stop) return text->last ? RECORD_WHOLE : RECORD_CUT;
  return read_residues(text, codes, record);
}

size_t first_record(const uint8_t *text, size_t stop) {
  size_t at = 0;
  while (at < stop && is_space(text[at])) at++;
  if (at == stop) return stop;
  const int opens_line = at == 0 || text[at - 1] == '\n';
  return text[at] == '>' && opens_line ? at : SIZE_MAX;
}
