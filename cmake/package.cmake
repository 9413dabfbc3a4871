# What is installed beside the binary, and the packages: cpack -G DEB, cpack -G TGZ.
include(GNUInstallDirs)

install(TARGETS roost RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES bridge/PROTOCOL.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/bridge)
install(FILES config/roost.conf config/keywords.txt deploy/systemd/roost-failed@.service
  DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES deploy/package/sysusers.conf DESTINATION lib/sysusers.d RENAME roost.conf)
install(FILES deploy/package/lintian-overrides DESTINATION share/lintian/overrides RENAME roost)
# Files that name others, or that an administrator has changed: written when they are installed, since only then is the
# prefix certain (cmake --install --prefix).
if(CMAKE_INSTALL_SYSCONFDIR STREQUAL "etc")
  set(sysconf "")
else()
  set(sysconf ${CMAKE_INSTALL_FULL_SYSCONFDIR})
endif()
install(CODE "set(source \"${PROJECT_SOURCE_DIR}\")\nset(bindir \"${CMAKE_INSTALL_BINDIR}\")\n\
set(datadir \"${CMAKE_INSTALL_DATADIR}\")\nset(docdir \"${CMAKE_INSTALL_DOCDIR}\")\nset(sysconf \"${sysconf}\")")
install(SCRIPT ${PROJECT_SOURCE_DIR}/cmake/install_configured.cmake)

# --- packages ---

set(CPACK_PACKAGE_NAME roost)
set(CPACK_PACKAGE_VENDOR "roost")
set(CPACK_PACKAGE_CONTACT "roost maintainers <maintainers@roost.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "streams of social networks into PostgreSQL")
set(CPACK_PACKAGE_DESCRIPTION "Follows a topic on a social network for months, and has every post in
PostgreSQL a second after it was written. roost listen signs in to a
streaming API, filters by keyword and language, and keeps each post in a
numbered spool on disk behind a local TCP bridge; roost etl takes
micro-batches from the bridge, cleans and enriches them, and loads each batch
in one transaction with its position: nothing is lost and nothing doubled,
whoever is killed and whenever.
.
Both run as systemd services under a user of their own.")
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS OFF)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd, systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, postgresql")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(control ${PROJECT_BINARY_DIR}/package)
file(WRITE ${control}/conffiles "/etc/roost/keywords.txt\n/etc/roost/roost.conf\n")
foreach(script postinst prerm postrm)
  configure_file(deploy/package/${script} ${control}/${script} COPYONLY)
  list(APPEND control_files ${control}/${script})
endforeach()
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${control_files};${control}/conffiles")
execute_process(COMMAND dpkg --print-architecture OUTPUT_VARIABLE architecture OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT architecture)
  set(architecture ${CMAKE_SYSTEM_PROCESSOR})
endif()
set(CPACK_ARCHIVE_FILE_NAME roost_${PROJECT_VERSION}_${architecture})
set(CPACK_PACKAGE_FILE_NAME roost_${PROJECT_VERSION}_${architecture})
set(CPACK_GENERATOR DEB TGZ)
set(CPACK_SOURCE_GENERATOR "")
include(CPack)
