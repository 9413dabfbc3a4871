# roost_room(NAME [ROOMS...]): the static library of a folder, from all its .c files, seeing only the rooms named.
function(roost_room name)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${name}/*.c)
  if(NOT sources)
    message(FATAL_ERROR "the room ${name}/ has no sources")
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC roost_options ${ARGN} ${ROOST_LIBRARIES_${name}})
  if(EXISTS ${PROJECT_SOURCE_DIR}/${name}/room.cmake)
    include(${PROJECT_SOURCE_DIR}/${name}/room.cmake)
  endif()
endfunction()

# The version and the commit (base/version.h), asked anew at each build and compiled only when they have changed.
set(ROOST_COMMIT "" CACHE STRING "The commit that roost --version names, where git cannot be asked")
set(version_source ${PROJECT_BINARY_DIR}/generated/version.c)
function(roost_version)
  add_custom_target(roost_version
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION} -DCOMMIT=${ROOST_COMMIT}
      -DOUTPUT=${version_source} -P ${PROJECT_SOURCE_DIR}/cmake/version.cmake
    BYPRODUCTS ${version_source} VERBATIM COMMENT "")
  target_sources(base PRIVATE ${version_source})
  add_dependencies(base roost_version)
endfunction()
