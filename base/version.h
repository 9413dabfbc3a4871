/* base/version.h - which roost this is: the project's version and the commit it was built from.
 *
 * The text is made when roost is built (cmake/version.cmake), never compiled into more than one file: a new
 * commit recompiles that file alone. */
#ifndef ROOST_BASE_VERSION_H
#define ROOST_BASE_VERSION_H

/* The version of the project in CMakeLists.txt, as "0.1.0". */
extern const char version_number[];

/* The commit, abbreviated as git does it, with "+changes" behind it when the sources differed from it. A
 * build from a release archive has the archive's commit; one from sources that nothing is known of has
 * "unknown". */
extern const char version_commit[];

#endif
