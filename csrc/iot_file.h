/*
 * Small files, such as those that hold secrets.
 */
#ifndef IOT_FILE_H
#define IOT_FILE_H

#include "iot_buffer.h"

enum {
  IOT_FILE_PATIENCE = 5,     /* seconds for what is no plain file, such as a pipe */
  IOT_FILE_MAX_PEM = 1 << 24 /* bytes; the CAs of all the world have a fiftieth of that */
};

/*
 * Whether OpenSSL may be given a file to read, which it does to its end, without a limit of time or size: a plain one
 * that is readable and not huge. Links are followed.
 *   path          NUL-terminated
 *   or_directory  a directory will do
 *   what          stands in front of the path in the message
 *   refusal       what is returned if not, with the path and the reason in `error`
 */
IOT_NODISCARD enum iot_status iot_file_check(const char *path, bool or_directory, const char *what,
    enum iot_status refusal, struct iot_error *error);

/*
 * Append the whole of a file.
 *   out      its limit is the file's
 *   path     NUL-terminated
 *   missing  out: whether there is no such file
 * Returns IOT_OK; IOT_ETOOLARGE; IOT_ETIMEOUT for a pipe to which no one writes; IOT_ECONFIGURATION when
 * it cannot be read; or IOT_ENOMEM; each with the reason, without the path, in `error`.
 */
IOT_NODISCARD enum iot_status iot_file_read(
    struct iot_buffer *out, const char *path, bool *missing, struct iot_error *error);

/*
 * Replace a file as a whole, for its owner's eyes only (mode 0600): the text goes to a new file in
 * the same folder, to disk, and then takes the old one's place, so that no reader ever meets half of it
 * and a failure leaves the old one as it was. A symbolic link is replaced, not followed.
 *   path  NUL-terminated
 * Returns IOT_OK, or IOT_ECONFIGURATION or IOT_ENOMEM with the reason in `error`.
 */
IOT_NODISCARD enum iot_status iot_file_replace(
    const char *path, struct iot_view text, struct iot_error *error);

#endif
