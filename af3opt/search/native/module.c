/* The Python module: instruction sets, prepared queries and scans of spans. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030c0000
#include <Python.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel.h"
#include "span.h"

enum { LEAST_BUFFER_BYTES = 1 << 12 };

static const char QUERY_CAPSULE[] = "af3opt.search.query";

static int append_names(PyObject *names, Use wanted) {
  for (const Isa *const *isa = ISAS; *isa; isa++) {
    if ((*isa)->usable() != wanted) continue;
    PyObject *name = PyUnicode_FromString((*isa)->name);
    const int appended = name ? PyList_Append(names, name) : -1;
    Py_XDECREF(name);
    if (appended < 0) return -1;
  }
  return 0;
}

static PyObject *instruction_sets(PyObject *module, PyObject *Py_UNUSED(arguments)) {
  (void)module;
  PyObject *names = PyList_New(0);
  if (names && (append_names(names, PREFERRED) < 0 || append_names(names, USABLE) < 0))
    Py_CLEAR(names);
  return names;
}

static void release_capsule(PyObject *capsule) {
  Query *query = PyCapsule_GetPointer(capsule, QUERY_CAPSULE);
  query_release(query);
  free(query);
}

static PyObject *wrap_query(const Isa *isa, const Py_buffer *scores, int length,
                            const Py_buffer *least) {
  Query *query = malloc(sizeof *query);
  if (!query || query_prepare(query, isa, scores->buf, length, least->buf) < 0) {
    free(query);
    return PyErr_NoMemory();
  }
  PyObject *capsule = PyCapsule_New(query, QUERY_CAPSULE, release_capsule);
  if (!capsule) {
    query_release(query);
    free(query);
  }
  return capsule;
}

static PyObject *prepare(PyObject *module, PyObject *arguments) {
  (void)module;
  Py_buffer scores, least;
  int length;
  const char *name;
  if (!PyArg_ParseTuple(arguments, "y*iy*s:prepare", &scores, &length, &least, &name)) return NULL;
  PyObject *capsule = NULL;
  const Isa *isa = find_isa(name);
  if (!isa || !isa->usable())
    PyErr_Format(PyExc_ValueError, "no such instruction set here: %s", name);
  else if (length < 1 || length > MOST_POSITIONS)
    PyErr_Format(PyExc_ValueError, "a query of %d positions; 1 to %d are possible", length,
                 (int)MOST_POSITIONS);
  else if (scores.len != (Py_ssize_t)CODES * length)
    PyErr_Format(PyExc_ValueError, "%zd scores for %d positions; %zd are needed", scores.len,
                 length, (Py_ssize_t)CODES * length);
  else if (least.len != LONGEST_TARGET + 1)
    PyErr_Format(PyExc_ValueError, "%zd thresholds; %d are needed", least.len,
                 (int)LONGEST_TARGET + 1);
  else
    capsule = wrap_query(isa, &scores, length, &least);
  PyBuffer_Release(&scores);
  PyBuffer_Release(&least);
  return capsule;
}

static int64_t read_file(void *source, uint8_t *into, size_t bytes, uint64_t offset) {
  const int descriptor = *(const int *)source;
  for (;;) {
    const ssize_t got = pread(descriptor, into, bytes, (off_t)offset);
    if (got >= 0) return got;
    if (errno != EINTR) return -(int64_t)errno;
  }
}

/* The queries of a tuple of capsules, to be freed; NULL with an exception. */
static const Query **queries_of(PyObject *capsules) {
  const Py_ssize_t count = PyTuple_Size(capsules);
  if (count == 0) {
    PyErr_SetString(PyExc_ValueError, "no queries");
    return NULL;
  }
  const Query **queries = malloc((size_t)count * sizeof *queries);
  if (!queries) {
    PyErr_NoMemory();
    return NULL;
  }
  for (Py_ssize_t q = 0; q < count; q++) {
    queries[q] = PyCapsule_GetPointer(PyTuple_GetItem(capsules, q), QUERY_CAPSULE);
    if (!queries[q]) {
      free(queries);
      return NULL;
    }
  }
  return queries;
}

/* (state, errno, offset, targets, residues, [(targets, records), ...]) */
static PyObject *as_tuple(const SpanResult *result, size_t query_count) {
  if (result->state == SPAN_NO_MEMORY) return PyErr_NoMemory();
  PyObject *survivors = PyList_New(0);
  for (size_t q = 0; survivors && q < query_count; q++) {
    const Survivors *of_query = &result->survivors[q];
    PyObject *pair = Py_BuildValue("(Ky#)", (unsigned long long)of_query->targets,
                                   of_query->used ? (const char *)of_query->bytes : "",
                                   (Py_ssize_t)of_query->used);
    const int appended = pair ? PyList_Append(survivors, pair) : -1;
    Py_XDECREF(pair);
    if (appended < 0) Py_CLEAR(survivors);
  }
  if (!survivors) return NULL;
  return Py_BuildValue("(iiKKKN)", (int)result->state, result->error,
                       (unsigned long long)result->offset, (unsigned long long)result->targets,
                       (unsigned long long)result->residues, survivors);
}

static PyObject *scan(PyObject *module, PyObject *arguments) {
  (void)module;
  int descriptor;
  unsigned long long begin, end, size;
  PyObject *capsules;
  Py_ssize_t buffer_bytes;
  if (!PyArg_ParseTuple(arguments, "iKKKO!n:scan", &descriptor, &begin, &end, &size,
                        &PyTuple_Type, &capsules, &buffer_bytes))
    return NULL;
  if (begin >= end || end > size || size > (unsigned long long)PY_SSIZE_T_MAX ||
      buffer_bytes < LEAST_BUFFER_BYTES || buffer_bytes > MOST_RECORD_BYTES) {
    PyErr_SetString(PyExc_ValueError, "offsets or buffer out of range");
    return NULL;
  }
  const Query **queries = queries_of(capsules);
  if (!queries) return NULL;
  const Span span = {.read = read_file, .source = &descriptor, .begin = begin, .end = end,
                     .size = size, .buffer_bytes = (size_t)buffer_bytes, .queries = queries,
                     .query_count = (size_t)PyTuple_Size(capsules)};
  SpanResult result;
  Py_BEGIN_ALLOW_THREADS
  scan_span(&span, &result);
  Py_END_ALLOW_THREADS
  PyObject *tuple = as_tuple(&result, span.query_count);
  span_result_release(&result, span.query_count);
  free(queries);
  return tuple;
}

static PyMethodDef methods[] = {
    {"instruction_sets", instruction_sets, METH_NOARGS,
     "Names of the instruction sets that this processor has, the fastest first."},
    {"prepare", prepare, METH_VARARGS,
     "prepare(scores, length, least, instruction_set): a query for `scan`."},
    {"scan", scan, METH_VARARGS,
     "scan(descriptor, begin, end, size, queries, buffer_bytes): the survivors of a span."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_kernel", .m_size = 0, .m_methods = methods,
    .m_doc = "Scores of ungapped alignments over FASTA files.",
};

PyMODINIT_FUNC PyInit__kernel(void) {
  PyObject *module = PyModule_Create(&definition);
  if (!module) return NULL;
  const struct { const char *name; long value; } constants[] = {
      {"DONE", SPAN_DONE},           {"UNREADABLE", SPAN_UNREADABLE},
      {"TRUNCATED", SPAN_TRUNCATED}, {"NOT_FASTA", SPAN_NOT_FASTA},
      {"TOO_LONG", SPAN_TOO_LONG},   {"CODES", CODES},
      {"CODE_STAR", CODE_STAR},      {"CODE_GAP", CODE_GAP},
      {"CODE_MISSING", CODE_MISSING}, {"LONGEST_TARGET", LONGEST_TARGET},
      {"MOST_POSITIONS", MOST_POSITIONS}, {"MOST_RECORD_BYTES", MOST_RECORD_BYTES},
  };
  for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
    if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0) {
      Py_DECREF(module);
      return NULL;
    }
  return module;
}
