# The tests that are no criterion programs: the house's order, fuzz corpora, end to end.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_test(NAME house.order COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/house/check_house.py ${PROJECT_SOURCE_DIR})
add_test(NAME house.version COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/house/check_version.py ${PROJECT_SOURCE_DIR} ${CMAKE_COMMAND})
set_tests_properties(house.version PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")
add_test(NAME house.install COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/house/check_install.py ${PROJECT_BINARY_DIR} ${CMAKE_COMMAND})
add_test(NAME house.format COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/house/format.sh ${PROJECT_SOURCE_DIR})
set_tests_properties(house.format PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: ")

# tests/fuzz/NAME.c is a libFuzzer target. With clang and -DROOST_FUZZ=ON it is built as a fuzzer (fuzz_NAME); always it is
# built with a main that replays tests/fuzz/corpus/NAME.
option(ROOST_FUZZ "Build the fuzzers (clang)" OFF)
file(GLOB targets CONFIGURE_DEPENDS fuzz/*.c)
list(FILTER targets EXCLUDE REGEX "/replay\\.c$")
foreach(source ${targets})
  get_filename_component(name ${source} NAME_WE)
  add_executable(replay_${name} ${source} fuzz/replay.c)
  target_link_libraries(replay_${name} PRIVATE sinks etl ingest bridge simulator config text base roost_options)
  set_target_properties(replay_${name} PROPERTIES ROOST_TEST ON)
  add_test(NAME fuzz.${name} COMMAND replay_${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
  roost_test_environment(fuzz.${name})
  if(ROOST_FUZZ)
    add_executable(fuzz_${name} ${source})
    target_link_libraries(fuzz_${name} PRIVATE sinks etl ingest bridge simulator config text base roost_options)
    set_target_properties(fuzz_${name} PROPERTIES ROOST_TEST ON)
    target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  endif()
endforeach()

# What the matcher says of many lines and posts, for end_to_end/test_matching.py.
add_executable(match_lines support/match_lines.c)
target_link_libraries(match_lines PRIVATE text bridge config base roost_options)
set_target_properties(match_lines PROPERTIES ROOST_TEST ON)

# tests/end_to_end/NAME.py drives the real programs: the roost binary, a private PostgreSQL, real sockets.
file(GLOB scripts CONFIGURE_DEPENDS end_to_end/test_*.py)
foreach(script ${scripts})
  get_filename_component(base_name ${script} NAME_WE)
  string(REPLACE "test_" "" name ${base_name})
  add_test(NAME end_to_end.${name} COMMAND /usr/bin/python3 ${script})
  roost_test_environment(end_to_end.${name})
  set_tests_properties(end_to_end.${name} PROPERTIES TIMEOUT 400)
endforeach()
set_property(TEST end_to_end.matching APPEND PROPERTY ENVIRONMENT "MATCH_LINES=$<TARGET_FILE:match_lines>")
