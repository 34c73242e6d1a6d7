/*
 * What the bench holds the library against: the same work with nothing but libcurl or OpenSSL.
 *
 *   yardsticks get URL CA COUNT           one handle, one GET after the other: microseconds of CPU a call
 *   yardsticks multi URL CA COUNT WIDTH   WIDTH handles of one multi handle: calls a second
 *   yardsticks hash FILE COUNT            what a signature hashes: SHA-256 of a file's bytes, then an HMAC of
 *                                         as many as a string to sign has: microseconds of CPU each time
 *   yardsticks time COUNT COMMAND...      a command as a process of its own, COUNT times: the median of their
 *                                         milliseconds from start to end
 *
 * Each prints its figure, and what its process, or the largest of its children, took of memory at the most, in
 * kilobytes.
 */
#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 200, MAX_WIDTH = 1024, MAX_COMMANDS = 1000, STRING_TO_SIGN = 134 };

static void fail(const char *what)
{
  fprintf(stderr, "yardsticks: %s\n", what);
  exit(1);
}

static double seconds_of(clockid_t clock)
{
  struct timespec time;

  clock_gettime(clock, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void report(double figure, int who)
{
  struct rusage usage;

  getrusage(who, &usage);
  printf("%.4f %ld\n", figure, usage.ru_maxrss);
}

/* The body is copied, as any caller would. */
struct body {
  size_t size;
  char bytes[65536];
};

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
  struct body *body = context;
  size_t room = sizeof body->bytes - body->size;
  size_t n = size * count;

  (void)size;
  memcpy(body->bytes + body->size, data, n < room ? n : room);
  body->size += n < room ? n : room;
  return n;
}

static CURL *new_handle(const char *url, const char *authorities, struct body *body)
{
  CURL *easy = curl_easy_init();

  if (!easy)
    fail("no handle");
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_CAINFO, authorities);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, body);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  return easy;
}

static void check(CURL *easy, CURLcode code)
{
  long status = 0;

  if (code != CURLE_OK)
    fail(curl_easy_strerror(code));
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200)
    fail("the server did not answer 200");
}

static void get(const char *url, const char *authorities, long count)
{
  static struct body body;
  CURL *easy = new_handle(url, authorities, &body);
  double started = 0;
  long i;

  for (i = -WARM_UP; i < count; i++) {
    if (i == 0)
      started = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    body.size = 0;
    check(easy, curl_easy_perform(easy));
  }
  report((seconds_of(CLOCK_PROCESS_CPUTIME_ID) - started) * 1e6 / (double)count, RUSAGE_SELF);
  curl_easy_cleanup(easy);
}

/* Whoever is done gets the next call, as long as there are some. */
static long collect(CURLM *multi, long *begun, long count)
{
  CURLMsg *message;
  int queued;
  long done = 0;

  while ((message = curl_multi_info_read(multi, &queued)) != NULL) {
    CURL *easy = message->easy_handle;
    struct body *body = NULL;

    check(easy, message->data.result);
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&body);
    body->size = 0;
    curl_multi_remove_handle(multi, easy);
    done++;
    if (*begun < count) {
      curl_multi_add_handle(multi, easy);
      ++*begun;
    }
  }
  return done;
}

static void run_multi(const char *url, const char *authorities, long count, long width)
{
  CURL *handles[MAX_WIDTH];
  struct body *bodies = calloc((size_t)width, sizeof *bodies);
  CURLM *multi = curl_multi_init();
  double started = seconds_of(CLOCK_MONOTONIC);
  long begun = 0, done = 0, i;
  int running;

  if (!bodies || !multi)
    fail("no memory");
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, width);
  for (i = 0; i < width; i++, begun++) {
    handles[i] = new_handle(url, authorities, &bodies[i]);
    curl_multi_add_handle(multi, handles[i]);
  }
  while (done < count) {
    curl_multi_perform(multi, &running);
    done += collect(multi, &begun, count);
    if (done < count)
      curl_multi_poll(multi, NULL, 0, 1000, NULL);
  }
  report((double)count / (seconds_of(CLOCK_MONOTONIC) - started), RUSAGE_SELF);
  for (i = 0; i < width; i++)
    curl_easy_cleanup(handles[i]);
  curl_multi_cleanup(multi);
  free(bodies);
}

static void hash(const char *path, long count)
{
  static unsigned char text[65536], digest[EVP_MAX_MD_SIZE];
  const unsigned char key[32] = "the key of a day and a service.";
  FILE *file = fopen(path, "rb");
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  const EVP_MD *sha256 = EVP_sha256();
  unsigned int size;
  size_t n;
  double started;
  long i;

  if (!file || !context)
    fail(path);
  n = fread(text, 1, sizeof text, file);
  fclose(file);
  started = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
  for (i = 0; i < count; i++) {
    if (!EVP_DigestInit_ex(context, sha256, NULL) || !EVP_DigestUpdate(context, text, n) ||
        !EVP_DigestFinal_ex(context, digest, &size) ||
        !HMAC(
            sha256, key, sizeof key, text, n < STRING_TO_SIGN ? n : STRING_TO_SIGN, digest, &size))
      fail("OpenSSL");
  }
  report((seconds_of(CLOCK_PROCESS_CPUTIME_ID) - started) * 1e6 / (double)count, RUSAGE_SELF);
  EVP_MD_CTX_free(context);
}

/* Its output is not wanted, its success is. */
static double run_once(char **command)
{
  const double started = seconds_of(CLOCK_MONOTONIC);
  const pid_t child = fork();
  int status;

  if (child == 0) {
    const int null = open("/dev/null", O_RDWR);

    dup2(null, 0);
    dup2(null, 1);
    execvp(command[0], command);
    _exit(127);
  }
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
    fail(command[0]);
  return (seconds_of(CLOCK_MONOTONIC) - started) * 1e3;
}

static int compare(const void *a, const void *b)
{
  const double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

static void time_command(long count, char **command)
{
  static double spent[MAX_COMMANDS];
  long i;

  for (i = 0; i < count; i++)
    spent[i] = run_once(command);
  qsort(spent, (size_t)count, sizeof *spent, compare);
  report(spent[count / 2], RUSAGE_CHILDREN);
}

int main(int count, char **arguments)
{
  const char *what = count > 1 ? arguments[1] : "";

  curl_global_init(CURL_GLOBAL_DEFAULT);
  if (strcmp(what, "get") == 0 && count == 5)
    get(arguments[2], arguments[3], atol(arguments[4]));
  else if (strcmp(what, "multi") == 0 && count == 6 && atol(arguments[5]) <= MAX_WIDTH)
    run_multi(arguments[2], arguments[3], atol(arguments[4]), atol(arguments[5]));
  else if (strcmp(what, "hash") == 0 && count == 4)
    hash(arguments[2], atol(arguments[3]));
  else if (strcmp(what, "time") == 0 && count > 3 && atol(arguments[2]) > 0 &&
           atol(arguments[2]) <= MAX_COMMANDS)
    time_command(atol(arguments[2]), arguments + 3);
  else
    fail("get URL CA COUNT, multi URL CA COUNT WIDTH, hash FILE COUNT, or time COUNT COMMAND...");
  curl_global_cleanup();
  return 0;
}
