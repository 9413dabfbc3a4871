# Writes OUTPUT, the C file behind base/version.h, if what it says has changed. Run at each build:
#   cmake -DSOURCE=FOLDER -DVERSION=0.1.0 [-DCOMMIT=HASH] -DOUTPUT=FILE -P cmake/version.cmake
# The commit is COMMIT if given; else what git says of SOURCE; else what `git archive` wrote into cmake/commit.
if(NOT COMMIT AND EXISTS "${SOURCE}/.git")
  find_program(GIT git)
  if(GIT)
    execute_process(COMMAND "${GIT}" -C "${SOURCE}" rev-parse --short=12 HEAD
      OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    execute_process(COMMAND "${GIT}" --no-optional-locks -C "${SOURCE}" status --porcelain --untracked-files=no
      OUTPUT_VARIABLE changes ERROR_QUIET)
    if(COMMIT AND changes)
      string(APPEND COMMIT "+changes")
    endif()
  endif()
endif()
if(NOT COMMIT)
  file(STRINGS "${SOURCE}/cmake/commit" COMMIT LIMIT_COUNT 1)
  if(NOT COMMIT MATCHES "^[0-9a-f]+$")
    set(COMMIT "unknown")
  endif()
endif()
set(text "/* Made by cmake/version.cmake. */
#include \"base/version.h\"

const char version_number[] = \"${VERSION}\";
const char version_commit[] = \"${COMMIT}\";
")
set(before "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" before)
endif()
if(NOT before STREQUAL text)
  file(WRITE "${OUTPUT}" "${text}")
endif()
