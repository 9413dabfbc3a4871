# The SQL of the schema, inside the binary. The generated file is made again when a .sql file changes, comes or goes.
file(GLOB schema_files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/sinks/schema/*.sql)
set(schema_source ${PROJECT_BINARY_DIR}/generated/sinks_schema.c)
add_custom_command(OUTPUT ${schema_source}
  COMMAND ${CMAKE_COMMAND} -DFOLDER=${PROJECT_SOURCE_DIR}/sinks/schema -DOUTPUT=${schema_source}
          -P ${PROJECT_SOURCE_DIR}/sinks/embed.cmake
  DEPENDS ${schema_files} ${PROJECT_SOURCE_DIR}/sinks/embed.cmake
  VERBATIM)
target_sources(sinks PRIVATE ${schema_source})
