/* FASTA as HMMER's own reader understands it:
 *
 * - a record begins at any '>' outside a header, even in the middle of a line;
 * - a header ends at the first line feed or carriage return;
 * - the name must not be empty; the rest of a header may hold any bytes;
 * - letters, '*', '.', '_' and '~' are residues, '-' and everything else is refused;
 * - blanks, tabs and line ends between residues mean nothing.
 */
#include "fasta.h"

#include <string.h>

/* Independent of the locale. */
static int is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

/* Index of the first line feed or carriage return in text[start .. stop), or stop. */
static size_t header_end(const uint8_t *text, size_t start, size_t stop) {
  const uint8_t *feed = memchr(text + start, '\n', stop - start);
  const size_t line_end = feed ? (size_t)(feed - text) : stop;
  const uint8_t *carriage = memchr(text + start, '\r', line_end - start);
  return carriage ? (size_t)(carriage - text) : line_end;
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

static RecordState read_residues(const uint8_t *text, size_t stop, int last, const Isa *isa,
                                 uint8_t *codes, Record *record) {
  size_t at = record->end;
  for (;;) {
    const size_t run = isa->letters(text + at, codes + record->residues);
    at += run;
    record->residues += run;
    if (at == stop) break;
    const uint8_t byte = text[at];
    if (byte == '>') break;
    if (byte != '\n' && byte != '\r' && byte != ' ' && byte != '\t') {
      const uint8_t code = unusual_code(byte);
      if (!code) {
        record->odd = at;
        return RECORD_ODD;
      }
      codes[record->residues++] = code;
    }
    at++;
  }
  record->end = at;
  return at < stop || last ? RECORD_WHOLE : RECORD_CUT;
}

RecordState read_record(const uint8_t *text, size_t start, size_t stop, int last,
                        const Isa *isa, uint8_t *codes, Record *record) {
  size_t at = start + 1;
  record->residues = 0;
  while (at < stop && (text[at] == ' ' || text[at] == '\t')) at++;
  if (at == stop ? last : is_space(text[at])) {
    record->odd = start;
    return RECORD_ODD;
  }
  record->end = header_end(text, at, stop);
  if (record->end == stop) return last ? RECORD_WHOLE : RECORD_CUT;
  return read_residues(text, stop, last, isa, codes, record);
}

size_t first_record(const uint8_t *text, size_t stop) {
  size_t at = 0;
  while (at < stop && is_space(text[at])) at++;
  if (at == stop) return stop;
  const int opens_line = at == 0 || text[at - 1] == '\n';
  return text[at] == '>' && opens_line ? at : SIZE_MAX;
}
