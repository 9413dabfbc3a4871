# Turns the .sql files of FOLDER into OUTPUT, a C file with one array of their bytes (schema.h says what it is).
# cmake -DFOLDER=... -DOUTPUT=... -P embed.cmake. Names are NNNN_what.sql; the numbers must run from 1 without a hole.
file(GLOB files ${FOLDER}/*.sql)
list(SORT files)
set(texts "")
set(entries "")
set(number 0)
foreach(path ${files})
  math(EXPR number "${number} + 1")
  get_filename_component(name ${path} NAME_WE)
  if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])_([a-z0-9_]+)$")
    message(FATAL_ERROR "${path}: name it NNNN_what.sql")
  endif()
  set(what ${CMAKE_MATCH_2})
  string(REGEX REPLACE "^0+" "" written ${CMAKE_MATCH_1})
  if(NOT written EQUAL number)
    message(FATAL_ERROR "${path}: number ${number} is expected here")
  endif()
  # As numbers: a string literal would be cut at the 4095 bytes that C compilers must take, and warned about.
  file(READ ${path} hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND texts "static const unsigned char text_${number}[] = {\n${hex}0};\n")
  string(APPEND entries "    {${number}, \"${what}\", (const char *)text_${number}},\n")
endforeach()
file(WRITE ${OUTPUT} "/* Made from the .sql files by embed.cmake. */
#include \"sinks/schema.h\"

${texts}
const struct schema_version schema_versions[] = {
${entries}};
const size_t schema_version_count = sizeof schema_versions / sizeof schema_versions[0];
")
