#include "iot_terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include "iot_sigpipe.h"

int iot_terminal_width(int descriptor)
{
  struct winsize size;

  if (!isatty(descriptor))
    return 0;
  if (ioctl(descriptor, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
    return IOT_TERMINAL_COLUMNS;
  return size.ws_col;
}

bool iot_terminal_write(FILE *stream, struct iot_view text)
{
  struct iot_sigpipe held;
  bool written;

  iot_sigpipe_hold(&held);
  written = fwrite(text.p, 1, text.n, stream) == text.n && fflush(stream) == 0;
  iot_sigpipe_release(&held);
  return written;
}
