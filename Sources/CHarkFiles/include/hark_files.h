// The text files that ship inside the binary: the migrations, the statements of the store, the Python side of the Python runner.
#ifndef HARK_FILES_H
#define HARK_FILES_H
#include <stddef.h>

typedef struct {
    const char *name;           // "migrations/0001_create_tasks.sql", "Store/SQL/claim.sql"
    const unsigned char *bytes; // UTF-8
    size_t size;
} hark_embedded_file;

// All of them, in the order of their names within each folder.
const hark_embedded_file *hark_files(size_t *count);

// NULL if there is none of that name.
const hark_embedded_file *hark_file(const char *name);
#endif
