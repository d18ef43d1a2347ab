// Written by scripts/embed. Each file is embedded as it is, with a NUL behind it.
#include "hark_files.h"
#include <string.h>

static const unsigned char file_1[] = {
#embed "../../migrations/0001_create_tasks.sql" suffix(, 0)
};
static const unsigned char file_2[] = {
#embed "../../migrations/0002_guard_changes.sql" suffix(, 0)
};
static const unsigned char file_3[] = {
#embed "../../migrations/0003_create_doorbell.sql" suffix(, 0)
};
static const unsigned char file_4[] = {
#embed "../../migrations/0004_create_workers.sql" suffix(, 0)
};
static const unsigned char file_5[] = {
#embed "../../migrations/grants.sql" suffix(, 0)
};
static const unsigned char file_6[] = {
#embed "../../Sources/Hark/Store/SQL/arm.sql" suffix(, 0)
};
static const unsigned char file_7[] = {
#embed "../../Sources/Hark/Store/SQL/await_sleep.sql" suffix(, 0)
};
static const unsigned char file_8[] = {
#embed "../../Sources/Hark/Store/SQL/beat.sql" suffix(, 0)
};
static const unsigned char file_9[] = {
#embed "../../Sources/Hark/Store/SQL/block.sql" suffix(, 0)
};
static const unsigned char file_10[] = {
#embed "../../Sources/Hark/Store/SQL/cancel.sql" suffix(, 0)
};
static const unsigned char file_11[] = {
#embed "../../Sources/Hark/Store/SQL/cancel_requests.sql" suffix(, 0)
};
static const unsigned char file_12[] = {
#embed "../../Sources/Hark/Store/SQL/cancel_tasks.sql" suffix(, 0)
};
static const unsigned char file_13[] = {
#embed "../../Sources/Hark/Store/SQL/claim.sql" suffix(, 0)
};
static const unsigned char file_14[] = {
#embed "../../Sources/Hark/Store/SQL/claim_lane.sql" suffix(, 0)
};
static const unsigned char file_15[] = {
#embed "../../Sources/Hark/Store/SQL/complete.sql" suffix(, 0)
};
static const unsigned char file_16[] = {
#embed "../../Sources/Hark/Store/SQL/disarm.sql" suffix(, 0)
};
static const unsigned char file_17[] = {
#embed "../../Sources/Hark/Store/SQL/doctor_blocked.sql" suffix(, 0)
};
static const unsigned char file_18[] = {
#embed "../../Sources/Hark/Store/SQL/doctor_locks.sql" suffix(, 0)
};
static const unsigned char file_19[] = {
#embed "../../Sources/Hark/Store/SQL/doctor_overdue.sql" suffix(, 0)
};
static const unsigned char file_20[] = {
#embed "../../Sources/Hark/Store/SQL/doctor_session.sql" suffix(, 0)
};
static const unsigned char file_21[] = {
#embed "../../Sources/Hark/Store/SQL/doctor_triggers.sql" suffix(, 0)
};
static const unsigned char file_22[] = {
#embed "../../Sources/Hark/Store/SQL/enqueue.sql" suffix(, 0)
};
static const unsigned char file_23[] = {
#embed "../../Sources/Hark/Store/SQL/expire_blocked.sql" suffix(, 0)
};
static const unsigned char file_24[] = {
#embed "../../Sources/Hark/Store/SQL/fail.sql" suffix(, 0)
};
static const unsigned char file_25[] = {
#embed "../../Sources/Hark/Store/SQL/guarded.sql" suffix(, 0)
};
static const unsigned char file_26[] = {
#embed "../../Sources/Hark/Store/SQL/hand_over.sql" suffix(, 0)
};
static const unsigned char file_27[] = {
#embed "../../Sources/Hark/Store/SQL/held.sql" suffix(, 0)
};
static const unsigned char file_28[] = {
#embed "../../Sources/Hark/Store/SQL/ids_by_filter.sql" suffix(, 0)
};
static const unsigned char file_29[] = {
#embed "../../Sources/Hark/Store/SQL/lanes.sql" suffix(, 0)
};
static const unsigned char file_30[] = {
#embed "../../Sources/Hark/Store/SQL/list.sql" suffix(, 0)
};
static const unsigned char file_31[] = {
#embed "../../Sources/Hark/Store/SQL/migrating.sql" suffix(, 0)
};
static const unsigned char file_32[] = {
#embed "../../Sources/Hark/Store/SQL/next_due.sql" suffix(, 0)
};
static const unsigned char file_33[] = {
#embed "../../Sources/Hark/Store/SQL/notify.sql" suffix(, 0)
};
static const unsigned char file_34[] = {
#embed "../../Sources/Hark/Store/SQL/orphans.sql" suffix(, 0)
};
static const unsigned char file_35[] = {
#embed "../../Sources/Hark/Store/SQL/outcome.sql" suffix(, 0)
};
static const unsigned char file_36[] = {
#embed "../../Sources/Hark/Store/SQL/pass_on.sql" suffix(, 0)
};
static const unsigned char file_37[] = {
#embed "../../Sources/Hark/Store/SQL/promote.sql" suffix(, 0)
};
static const unsigned char file_38[] = {
#embed "../../Sources/Hark/Store/SQL/register.sql" suffix(, 0)
};
static const unsigned char file_39[] = {
#embed "../../Sources/Hark/Store/SQL/rejoin.sql" suffix(, 0)
};
static const unsigned char file_40[] = {
#embed "../../Sources/Hark/Store/SQL/relax.sql" suffix(, 0)
};
static const unsigned char file_41[] = {
#embed "../../Sources/Hark/Store/SQL/release.sql" suffix(, 0)
};
static const unsigned char file_42[] = {
#embed "../../Sources/Hark/Store/SQL/rescue.sql" suffix(, 0)
};
static const unsigned char file_43[] = {
#embed "../../Sources/Hark/Store/SQL/retry.sql" suffix(, 0)
};
static const unsigned char file_44[] = {
#embed "../../Sources/Hark/Store/SQL/retry_tasks.sql" suffix(, 0)
};
static const unsigned char file_45[] = {
#embed "../../Sources/Hark/Store/SQL/settings.sql" suffix(, 0)
};
static const unsigned char file_46[] = {
#embed "../../Sources/Hark/Store/SQL/show.sql" suffix(, 0)
};
static const unsigned char file_47[] = {
#embed "../../Sources/Hark/Store/SQL/snooze.sql" suffix(, 0)
};
static const unsigned char file_48[] = {
#embed "../../Sources/Hark/Store/SQL/stats.sql" suffix(, 0)
};
static const unsigned char file_49[] = {
#embed "../../Sources/Hark/Store/SQL/strays.sql" suffix(, 0)
};
static const unsigned char file_50[] = {
#embed "../../Sources/Hark/Store/SQL/suspects.sql" suffix(, 0)
};
static const unsigned char file_51[] = {
#embed "../../Sources/Hark/Store/SQL/unblock.sql" suffix(, 0)
};
static const unsigned char file_52[] = {
#embed "../../Sources/Hark/Store/SQL/unregister.sql" suffix(, 0)
};
static const unsigned char file_53[] = {
#embed "../../Sources/Hark/Store/SQL/workers.sql" suffix(, 0)
};
static const unsigned char file_54[] = {
#embed "../../Sources/Hark/Runners/Python/interpreter/django.py" suffix(, 0)
};
static const unsigned char file_55[] = {
#embed "../../Sources/Hark/Runners/Python/interpreter/fork_server.py" suffix(, 0)
};
static const unsigned char file_56[] = {
#embed "../../Sources/Hark/Runners/Python/interpreter/functions.py" suffix(, 0)
};
static const unsigned char file_57[] = {
#embed "../../Sources/Hark/Runners/Python/interpreter/head.py" suffix(, 0)
};
static const unsigned char file_58[] = {
#embed "../../Sources/Hark/Runners/Python/interpreter/interpreter.py" suffix(, 0)
};
static const unsigned char file_59[] = {
#embed "../../Sources/Hark/Runners/Python/interpreter/printing.py" suffix(, 0)
};
static const unsigned char file_60[] = {
#embed "../../Sources/Hark/Runners/Python/interpreter/results.py" suffix(, 0)
};

static const hark_embedded_file files[] = {
    {"migrations/0001_create_tasks.sql", file_1, sizeof file_1 - 1},
    {"migrations/0002_guard_changes.sql", file_2, sizeof file_2 - 1},
    {"migrations/0003_create_doorbell.sql", file_3, sizeof file_3 - 1},
    {"migrations/0004_create_workers.sql", file_4, sizeof file_4 - 1},
    {"migrations/grants.sql", file_5, sizeof file_5 - 1},
    {"Store/SQL/arm.sql", file_6, sizeof file_6 - 1},
    {"Store/SQL/await_sleep.sql", file_7, sizeof file_7 - 1},
    {"Store/SQL/beat.sql", file_8, sizeof file_8 - 1},
    {"Store/SQL/block.sql", file_9, sizeof file_9 - 1},
    {"Store/SQL/cancel.sql", file_10, sizeof file_10 - 1},
    {"Store/SQL/cancel_requests.sql", file_11, sizeof file_11 - 1},
    {"Store/SQL/cancel_tasks.sql", file_12, sizeof file_12 - 1},
    {"Store/SQL/claim.sql", file_13, sizeof file_13 - 1},
    {"Store/SQL/claim_lane.sql", file_14, sizeof file_14 - 1},
    {"Store/SQL/complete.sql", file_15, sizeof file_15 - 1},
    {"Store/SQL/disarm.sql", file_16, sizeof file_16 - 1},
    {"Store/SQL/doctor_blocked.sql", file_17, sizeof file_17 - 1},
    {"Store/SQL/doctor_locks.sql", file_18, sizeof file_18 - 1},
    {"Store/SQL/doctor_overdue.sql", file_19, sizeof file_19 - 1},
    {"Store/SQL/doctor_session.sql", file_20, sizeof file_20 - 1},
    {"Store/SQL/doctor_triggers.sql", file_21, sizeof file_21 - 1},
    {"Store/SQL/enqueue.sql", file_22, sizeof file_22 - 1},
    {"Store/SQL/expire_blocked.sql", file_23, sizeof file_23 - 1},
    {"Store/SQL/fail.sql", file_24, sizeof file_24 - 1},
    {"Store/SQL/guarded.sql", file_25, sizeof file_25 - 1},
    {"Store/SQL/hand_over.sql", file_26, sizeof file_26 - 1},
    {"Store/SQL/held.sql", file_27, sizeof file_27 - 1},
    {"Store/SQL/ids_by_filter.sql", file_28, sizeof file_28 - 1},
    {"Store/SQL/lanes.sql", file_29, sizeof file_29 - 1},
    {"Store/SQL/list.sql", file_30, sizeof file_30 - 1},
    {"Store/SQL/migrating.sql", file_31, sizeof file_31 - 1},
    {"Store/SQL/next_due.sql", file_32, sizeof file_32 - 1},
    {"Store/SQL/notify.sql", file_33, sizeof file_33 - 1},
    {"Store/SQL/orphans.sql", file_34, sizeof file_34 - 1},
    {"Store/SQL/outcome.sql", file_35, sizeof file_35 - 1},
    {"Store/SQL/pass_on.sql", file_36, sizeof file_36 - 1},
    {"Store/SQL/promote.sql", file_37, sizeof file_37 - 1},
    {"Store/SQL/register.sql", file_38, sizeof file_38 - 1},
    {"Store/SQL/rejoin.sql", file_39, sizeof file_39 - 1},
    {"Store/SQL/relax.sql", file_40, sizeof file_40 - 1},
    {"Store/SQL/release.sql", file_41, sizeof file_41 - 1},
    {"Store/SQL/rescue.sql", file_42, sizeof file_42 - 1},
    {"Store/SQL/retry.sql", file_43, sizeof file_43 - 1},
    {"Store/SQL/retry_tasks.sql", file_44, sizeof file_44 - 1},
    {"Store/SQL/settings.sql", file_45, sizeof file_45 - 1},
    {"Store/SQL/show.sql", file_46, sizeof file_46 - 1},
    {"Store/SQL/snooze.sql", file_47, sizeof file_47 - 1},
    {"Store/SQL/stats.sql", file_48, sizeof file_48 - 1},
    {"Store/SQL/strays.sql", file_49, sizeof file_49 - 1},
    {"Store/SQL/suspects.sql", file_50, sizeof file_50 - 1},
    {"Store/SQL/unblock.sql", file_51, sizeof file_51 - 1},
    {"Store/SQL/unregister.sql", file_52, sizeof file_52 - 1},
    {"Store/SQL/workers.sql", file_53, sizeof file_53 - 1},
    {"Runners/Python/interpreter/django.py", file_54, sizeof file_54 - 1},
    {"Runners/Python/interpreter/fork_server.py", file_55, sizeof file_55 - 1},
    {"Runners/Python/interpreter/functions.py", file_56, sizeof file_56 - 1},
    {"Runners/Python/interpreter/head.py", file_57, sizeof file_57 - 1},
    {"Runners/Python/interpreter/interpreter.py", file_58, sizeof file_58 - 1},
    {"Runners/Python/interpreter/printing.py", file_59, sizeof file_59 - 1},
    {"Runners/Python/interpreter/results.py", file_60, sizeof file_60 - 1},
};

const hark_embedded_file *hark_files(size_t *count) {
    *count = sizeof files / sizeof *files;
    return files;
}

const hark_embedded_file *hark_file(const char *name) {
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].name, name) == 0) return &files[i];
    return NULL;
}
