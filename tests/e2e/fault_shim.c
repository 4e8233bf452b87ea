// Preloaded into a server (LD_PRELOAD) to give it a bad disk or a wrong clock: see faults.py, which compiles it.
//
// FAULT_FOLDER names the folder whose files are affected, FAULT_CONTROL a file with a `struct Control` that is mapped, so that
// faults come and go while the server runs.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct Control {
  _Atomic int64_t delay_ms;        // of every call on a file or a folder below FAULT_FOLDER
  _Atomic int64_t write_error;     // what creating and writing there fail with; 0: nothing
  _Atomic int64_t clock_offset_s;  // of the wall clock
  _Atomic int64_t num_delayed;     // calls, as below: a fault that nobody met shows nothing
  _Atomic int64_t num_refused;
  _Atomic int64_t num_clock_reads;  // while there was an offset
};

enum { kMaxFds = 65536 };
static _Atomic char is_ours[kMaxFds];  // descriptors of files below the folder
static struct Control none;
static struct Control* control = &none;
static const char* folder;

__attribute__((constructor)) static void Begin(void) {
  const char* path = getenv("FAULT_CONTROL");
  folder = getenv("FAULT_FOLDER");
  const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* mapped = mmap(NULL, sizeof(struct Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) abort();
  control = mapped;
  close(fd);
}

#define REAL(result, name, ...)       \
  static result (*real)(__VA_ARGS__); \
  if (real == NULL) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int IsBelow(const char* path) { return folder != NULL && path != NULL && strncmp(path, folder, strlen(folder)) == 0; }
static int IsOurs(int fd) { return fd >= 0 && fd < kMaxFds && is_ours[fd]; }
static int Own(int fd, const char* path) {
  if (fd >= 0 && fd < kMaxFds) is_ours[fd] = (char)IsBelow(path);
  return fd;
}

static void Delay(void) {
  const int64_t ms = control->delay_ms;
  if (ms <= 0) return;
  ++control->num_delayed;
  struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}
static int Refuses(void) {
  if (control->write_error == 0) return 0;
  ++control->num_refused;
  errno = (int)control->write_error;
  return 1;
}

#define OPEN(name)                                                                \
  int name(const char* path, int flags, ...) {                                    \
    REAL(int, #name, const char*, int, ...);                                      \
    va_list rest;                                                                 \
    va_start(rest, flags);                                                        \
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                                 \
    if (IsBelow(path)) Delay();                                                   \
    if (IsBelow(path) && (flags & O_CREAT) && Refuses()) return -1;               \
    return Own(real(path, flags, mode), path);                                    \
  }
OPEN(open)
OPEN(open64)

#define MKOSTEMP(name)                         \
  int name(char* path, int flags) {            \
    REAL(int, #name, char*, int);              \
    if (IsBelow(path)) Delay();                \
    if (IsBelow(path) && Refuses()) return -1; \
    return Own(real(path, flags), path);       \
  }
MKOSTEMP(mkostemp)
MKOSTEMP(mkostemp64)

int close(int fd) {
  REAL(int, "close", int);
  if (fd >= 0 && fd < kMaxFds) is_ours[fd] = 0;
  return real(fd);
}

ssize_t read(int fd, void* to, size_t count) {
  REAL(ssize_t, "read", int, void*, size_t);
  if (IsOurs(fd)) Delay();
  return real(fd, to, count);
}
ssize_t write(int fd, const void* from, size_t count) {
  REAL(ssize_t, "write", int, const void*, size_t);
  if (IsOurs(fd)) Delay();
  if (IsOurs(fd) && Refuses()) return -1;
  return real(fd, from, count);
}

#define PREAD(name)                                        \
  ssize_t name(int fd, void* to, size_t count, off_t at) { \
    REAL(ssize_t, #name, int, void*, size_t, off_t);       \
    if (IsOurs(fd)) Delay();                               \
    return real(fd, to, count, at);                        \
  }
PREAD(pread)
PREAD(pread64)

#define PWRITE(name)                                               \
  ssize_t name(int fd, const void* from, size_t count, off_t at) { \
    REAL(ssize_t, #name, int, const void*, size_t, off_t);         \
    if (IsOurs(fd)) Delay();                                       \
    if (IsOurs(fd) && Refuses()) return -1;                        \
    return real(fd, from, count, at);                              \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define ON_DESCRIPTOR(name)  \
  int name(int fd) {         \
    REAL(int, #name, int);   \
    if (IsOurs(fd)) Delay(); \
    return real(fd);         \
  }
ON_DESCRIPTOR(fsync)
ON_DESCRIPTOR(fdatasync)

int rename(const char* from, const char* to) {
  REAL(int, "rename", const char*, const char*);
  if (IsBelow(to)) Delay();
  return real(from, to);
}
int unlink(const char* path) {
  REAL(int, "unlink", const char*);
  if (IsBelow(path)) Delay();
  return real(path);
}
int access(const char* path, int how) {
  REAL(int, "access", const char*, int);
  if (IsBelow(path)) Delay();
  return real(path, how);
}
int mkdir(const char* path, mode_t mode) {
  REAL(int, "mkdir", const char*, mode_t);
  if (IsBelow(path)) Delay();
  return real(path, mode);
}
int utimensat(int at, const char* path, const struct timespec times[2], int flags) {
  REAL(int, "utimensat", int, const char*, const struct timespec*, int);
  if (IsBelow(path)) Delay();
  return real(at, path, times, flags);
}
DIR* opendir(const char* path) {
  REAL(DIR*, "opendir", const char*);
  if (IsBelow(path)) Delay();
  return real(path);
}

int clock_gettime(clockid_t which, struct timespec* now) {
  REAL(int, "clock_gettime", clockid_t, struct timespec*);
  const int result = real(which, now);
  if (control->clock_offset_s != 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
    now->tv_sec += control->clock_offset_s;
    ++control->num_clock_reads;
  }
  return result;
}
time_t time(time_t* to) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (to != NULL) *to = now.tv_sec;
  return now.tv_sec;
}
int gettimeofday(struct timeval* restrict to, void* restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  to->tv_sec = now.tv_sec;
  to->tv_usec = now.tv_nsec / 1000;
  return 0;
}
