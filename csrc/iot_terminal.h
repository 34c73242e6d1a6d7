/*
 * Showing something to whoever looks on: at a terminal, in a file, or not any more.
 */
#ifndef IOT_TERMINAL_H
#define IOT_TERMINAL_H

#include <stdio.h>

#include "iot_buffer.h"

enum { IOT_TERMINAL_COLUMNS = 80 }; /* of a terminal that does not tell */

/*
 * The columns of the terminal that `descriptor` is open on, at least 1; 0 when it is open on something
 * else, or not at all. The user may change them at any time. COLUMNS is not consulted: it tells of
 * the terminal that a shell has, which need not be this one.
 */
int iot_terminal_width(int descriptor);

/*
 * Write `text` and flush. Unlike a plain write it does not end the process by SIGPIPE when the stream is a
 * pipe that nobody reads any more. Returns whether everything was written; where not, errno tells why.
 */
bool iot_terminal_write(FILE *stream, struct iot_view text);

#endif
