// What PostgreSQL itself allows: bare libpq programs, without a queue's code, that do the least a durable task queue must do.
//
//   floor drain BATCH [SECONDS]                     claims and completes floor.task until it is empty (or the time is up), BATCH at a time
//   floor listen                                    sleeps until a notification comes, claims, says when; until stdin is closed
//   floor idle                                      two connections, one round trip on the second every 5 s; until it is killed
//   floor insert COUNT FROM TO SQL                  runs the INSERT every FROM to TO microseconds, and says when
//
// The database comes from the PG* variables; the tables from schema.sql. Times are nanoseconds since 1970.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_BATCH = 5000 };

static int64_t nanoseconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(PGconn *connection, const char *what) {
  fprintf(stderr, "%s: %s\n", what, connection ? PQerrorMessage(connection) : "");
  exit(1);
}

static PGconn *connect_database(void) {
  PGconn *connection = PQconnectdb("");
  if (PQstatus(connection) != CONNECTION_OK) die(connection, "connect");
  return connection;
}

static PGresult *expect(PGconn *connection, PGresult *result, const char *what) {
  ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_PIPELINE_SYNC) die(connection, what);
  return result;
}

static void run(PGconn *connection, const char *sql) { PQclear(expect(connection, PQexec(connection, sql), sql)); }

static void prepare(PGconn *connection, const char *name, const char *sql, int count, const Oid *types) {
  PQclear(expect(connection, PQprepare(connection, name, sql, count, types), name));
}

static int64_t int64_at(const PGresult *result, int row, int column) {
  int64_t value;
  memcpy(&value, PQgetvalue(result, row, column), 8);
  return be64toh(value);
}

// Binary one-dimensional arrays, as the protocol has them.
typedef struct { char *bytes; int size; } buffer;
static void put32(buffer *to, uint32_t value) { value = htonl(value); memcpy(to->bytes + to->size, &value, 4); to->size += 4; }
static void put64(buffer *to, uint64_t value) { value = htobe64(value); memcpy(to->bytes + to->size, &value, 8); to->size += 8; }
static void array_head(buffer *to, Oid type, int count) {
  to->size = 0;
  put32(to, count ? 1 : 0); put32(to, 0); put32(to, type);
  if (count) { put32(to, count); put32(to, 1); }
}
static void int64_array(buffer *to, Oid type, const int64_t *values, int count) {
  array_head(to, type, count);
  for (int i = 0; i < count; i++) { put32(to, 8); put64(to, values[i]); }
}
static void jsonb_array(buffer *to, int count, const char *text) {
  int length = strlen(text);
  array_head(to, 3802, count);
  for (int i = 0; i < count; i++) { put32(to, length + 1); to->bytes[to->size++] = 1; memcpy(to->bytes + to->size, text, length); to->size += length; }
}

// One descent for each priority, from the mark on: dead entries before it cost nothing. Found again by ctid.
static const char CLAIM[] =
  "update floor.task t set state = 'x', worker = 1, attempt = attempt + 1, started_at = now() where ctid = any(array("
  " select z.ctid from unnest('{0,1,2,3}'::int2[]) l(p), lateral ("
  "  select r.ctid from floor.task r where r.queue = 'default' and r.state = 'r' and r.priority = l.p and r.pos >= $2"
  "  order by r.pos limit $1 for update skip locked) z limit $1)) returning t.id, t.name, t.args, t.pos";
// Fenced, so that the plan is one index probe for each task, whatever the statistics say.
static const char COMPLETE[] =
  "with d as (delete from floor.task where state = 'x' and ctid = any(array("
  "  select k.ctid from unnest($1::int8[]) i(id), lateral (select ctid from floor.task where id = i.id and state = 'x' offset 0) k)) returning *)"
  " insert into floor.history select d.id, d.queue, d.name, d.args, d.priority, d.attempt, d.run_at, d.created_at, u.s, u.f, u.r"
  " from d join unnest($1::int8[], $2::timestamptz[], $3::timestamptz[], $4::jsonb[]) u(id, s, f, r) on u.id = d.id";

static PGconn *claimer(void) {
  PGconn *connection = connect_database();
  // Plans are made while statistics are stale: index access only, and one plan for every batch size.
  run(connection, "set jit = off; set enable_seqscan = off; set plan_cache_mode = force_generic_plan");
  prepare(connection, "claim", CLAIM, 2, (Oid[]){20, 20});
  return connection;
}

static int64_t seconds_of(int64_t nanoseconds) { return nanoseconds / 1000000000LL; }

// Complete what was claimed and claim the next, in one pipeline: one round trip, one transaction, one sync.
static int drain(int batch, int64_t limit) {
  PGconn *connection = claimer();
  prepare(connection, "complete", COMPLETE, 4, (Oid[]){1016, 1185, 1185, 3807});
  PQenterPipelineMode(connection);
  int64_t *ids = malloc(8 * MAX_BATCH), *times = malloc(8 * MAX_BATCH), mark = 0;
  buffer columns[4];
  const char *values[4];
  int lengths[4], formats[4] = {1, 1, 1, 1}, count = 0;
  for (int i = 0; i < 4; i++) columns[i].bytes = malloc(MAX_BATCH * 64 + 64);
  long done = 0, trips = 0;
  int64_t began = nanoseconds(CLOCK_MONOTONIC), looked = began;
  for (;;) {
    int completing = count, full = mark == 0;
    if (count) {
      int64_array(&columns[0], 20, ids, count);
      for (int i = 1; i < 3; i++) int64_array(&columns[i], 1184, times, count);
      jsonb_array(&columns[3], count, "{\"ok\":true}");
      for (int i = 0; i < 4; i++) { values[i] = columns[i].bytes; lengths[i] = columns[i].size; }
      PQsendQueryPrepared(connection, "complete", 4, values, lengths, formats, 1);
    }
    // Once a second from the beginning of the index, for what was committed behind the mark.
    if (nanoseconds(CLOCK_MONOTONIC) - looked > 1000000000LL) full = 1;
    if (full) looked = nanoseconds(CLOCK_MONOTONIC);
    char room[16], from[24];
    snprintf(room, sizeof room, "%d", batch);
    snprintf(from, sizeof from, "%lld", full ? 0LL : (long long)mark);
    PQsendQueryPrepared(connection, "claim", 2, (const char *[]){room, from}, NULL, NULL, 1);
    PQpipelineSync(connection);
    if (completing) {
      PQclear(expect(connection, PQgetResult(connection), "complete"));
      PQgetResult(connection);
    }
    PGresult *claimed = expect(connection, PQgetResult(connection), "claim");
    count = PQntuples(claimed);
    int64_t now = nanoseconds(CLOCK_REALTIME) / 1000 - 946684800000000LL;
    for (int i = 0; i < count; i++) {
      ids[i] = int64_at(claimed, i, 0);
      times[i] = now;
      int64_t position = int64_at(claimed, i, 3);
      if (!i || position < mark) mark = position;
    }
    PQclear(claimed);
    PQgetResult(connection);
    PQclear(expect(connection, PQgetResult(connection), "sync"));
    done += completing;
    trips++;
    if (seconds_of(nanoseconds(CLOCK_MONOTONIC) - began) >= limit) break;
    if (!count) {
      if (full) break;
      mark = 0;
    }
  }
  printf("{\"tasks\": %ld, \"seconds\": %.6f, \"trips\": %ld}\n", done, (nanoseconds(CLOCK_MONOTONIC) - began) / 1e9, trips);
  return 0;
}

static int listen_and_claim(void) {
  PGconn *connection = claimer();
  run(connection, "listen floor");
  run(connection, "select pg_advisory_lock_shared(77, 0)");  // somebody sleeps
  puts("listening");
  fflush(stdout);
  struct pollfd waits[2] = {{PQsocket(connection), POLLIN, 0}, {0, POLLIN, 0}};
  char mark[24] = "0";
  for (;;) {
    int heard = 0;
    PGnotify *notification;
    while ((notification = PQnotifies(connection))) { heard = 1; PQfreemem(notification); }
    if (!heard) {  // also none that came with the answer to the last claim
      poll(waits, 2, -1);
      if (waits[1].revents) return 0;
      PQconsumeInput(connection);
      continue;
    }
    PGresult *claimed = expect(connection, PQexecPrepared(connection, "claim", 2, (const char *[]){"100", mark}, NULL, NULL, 1), "claim");
    int64_t now = nanoseconds(CLOCK_REALTIME);
    for (int i = 0; i < PQntuples(claimed); i++) printf("%lld %lld\n", (long long)int64_at(claimed, i, 0), (long long)now);
    fflush(stdout);
    PQclear(claimed);
  }
}

static int idle(void) {
  PGconn *connections[2] = {connect_database(), connect_database()};
  prepare(connections[1], "look", "select 1", 0, NULL);
  puts("idle");
  fflush(stdout);
  for (;;) {
    struct pollfd waits[2] = {{PQsocket(connections[0]), POLLIN, 0}, {PQsocket(connections[1]), POLLIN, 0}};
    poll(waits, 2, 5000);
    PQclear(expect(connections[1], PQexecPrepared(connections[1], "look", 0, NULL, NULL, NULL, 1), "look"));
  }
}

static int insert(int count, int from, int to, const char *sql) {
  PGconn *connection = connect_database();
  prepare(connection, "insert", sql, 0, NULL);
  int64_t *ids = malloc(8 * count), *sent = malloc(8 * count), *acknowledged = malloc(8 * count);
  int64_t planned = nanoseconds(CLOCK_REALTIME);
  srandom(count);
  for (int i = 0; i < count; i++) {
    planned += (from + (to > from ? random() % (to - from) : 0)) * 1000LL;
    int64_t ahead = planned - nanoseconds(CLOCK_REALTIME);
    if (ahead > 0) nanosleep(&(struct timespec){ahead / 1000000000LL, ahead % 1000000000LL}, NULL);
    // One that could not be sent in time counts from the moment at which it should have been.
    int64_t now = nanoseconds(CLOCK_REALTIME);
    sent[i] = now - planned > 1000000 ? planned : now;
    PGresult *result = expect(connection, PQexecPrepared(connection, "insert", 0, NULL, NULL, NULL, 1), "insert");
    acknowledged[i] = nanoseconds(CLOCK_REALTIME);
    ids[i] = int64_at(result, 0, 0);
    PQclear(result);
  }
  for (int i = 0; i < count; i++) printf("%lld %lld %lld\n", (long long)ids[i], (long long)sent[i], (long long)acknowledged[i]);
  return 0;
}

int main(int count, char **arguments) {
  if (count > 2 && !strcmp(arguments[1], "drain")) return drain(atoi(arguments[2]), count > 3 ? atoll(arguments[3]) : INT64_MAX);
  if (count == 2 && !strcmp(arguments[1], "listen")) return listen_and_claim();
  if (count == 6 && !strcmp(arguments[1], "insert")) return insert(atoi(arguments[2]), atoi(arguments[3]), atoi(arguments[4]), arguments[5]);
  if (count == 2 && !strcmp(arguments[1], "idle")) return idle();
  fprintf(stderr, "usage: floor drain BATCH [SECONDS] | floor listen | floor idle | floor insert COUNT FROM TO SQL\n");
  return 2;
}
