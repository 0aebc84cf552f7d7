# What leaves this tree: the lists of each module's files for other build systems, and what
# `cmake --install` and CPack make. A package holds sources: they compile with the kernel's own flags.
include(CMakePackageConfigHelpers)

get_property(modules GLOBAL PROPERTY nmisafe_modules)

# sources.json, sources.mk, meson.build and sources.bzl lie in the tree, for who has no CMake. They are made here, compared
# by the test `package` and put in place by the target `source_lists`.
function(nmisafe_meson_module module result)
    foreach(kind IN ITEMS needs sources)
        get_property(files GLOBAL PROPERTY nmisafe_${kind}_${module})
        if(kind STREQUAL needs)
            list(TRANSFORM files APPEND _dependency)
            list(JOIN files ", " needs)
        else()
            list(TRANSFORM files REPLACE "(.+)" "'${module}/\\1'")
            list(JOIN files ",\n    " sources)
        endif()
    endforeach()
    get_property(includes GLOBAL PROPERTY nmisafe_includes_${module})
    set(folders folder)
    if(includes)
        set(folders "[folder, include_directories('${module}/${includes}')]")
    endif()
    set(text "\n${module}_dependency = declare_dependency(include_directories: ${folders}")
    if(needs)
        string(APPEND text ",\n  dependencies: [${needs}]")
    endif()
    if(sources)
        string(APPEND text ",\n  sources: files(\n    ${sources})")
    endif()
    string(APPEND text ")\nmeson.override_dependency('nmisafe-${module}', ${module}_dependency)\n")
    set(${result} "${text}" PARENT_SCOPE)
endfunction()

function(nmisafe_write_lists)
    set(json "{\n  \"version\": \"${PROJECT_VERSION}\",\n  \"modules\": {\n")
    set(make "# The modules' files, written from their CMakeLists.txt by the target source_lists.\n")
    set(meson "# The modules, written from their CMakeLists.txt by the target source_lists.\n")
    string(APPEND meson "folder = include_directories('..')\n")
    set(separator)
    foreach(module IN LISTS modules)
        nmisafe_meson_module(${module} text)
        string(APPEND meson "${text}")
        string(APPEND json "${separator}    \"${module}\": {")
        string(APPEND make "\n")
        set(comma)
        foreach(kind IN ITEMS needs headers sources)
            get_property(files GLOBAL PROPERTY nmisafe_${kind}_${module})
            list(JOIN files " " words)
            if(NOT kind STREQUAL headers)
                string(APPEND make "nmisafe_${kind}_${module} := ${words}\n")
            endif()
            list(TRANSFORM files REPLACE "(.+)" "\"\\1\"")
            list(JOIN files ", " quoted)
            string(APPEND json "${comma}\n      \"${kind}\": [${quoted}]")
            set(comma ",")
        endforeach()
        get_property(includes GLOBAL PROPERTY nmisafe_includes_${module})
        if(includes)
            string(APPEND json ",\n      \"includes\": \"${includes}\"")
        endif()
        string(APPEND json "\n    }")
        set(separator ",\n")
    endforeach()
    string(APPEND json "\n  }\n}\n")
    string(REPLACE ":= \n" ":=\n" make "${make}")
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/lists/sources.json CONTENT "${json}" @ONLY)
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/lists/sources.mk CONTENT "${make}" @ONLY)
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/lists/meson.build CONTENT "${meson}" @ONLY)
    # Bazel's files cannot read JSON, but as what it is there it is a dictionary.
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/lists/sources.bzl @ONLY CONTENT
        "# The modules' files, written from their CMakeLists.txt by the target source_lists.\nLIBRARY = ${json}")
    add_custom_target(source_lists
        COMMAND ${CMAKE_COMMAND} -E copy ${PROJECT_BINARY_DIR}/lists/sources.json
            ${PROJECT_BINARY_DIR}/lists/sources.mk ${PROJECT_BINARY_DIR}/lists/meson.build
            ${PROJECT_BINARY_DIR}/lists/sources.bzl ${PROJECT_SOURCE_DIR}/nmisafe)
endfunction()
nmisafe_write_lists()

foreach(module IN LISTS modules)
    install(TARGETS nmisafe_${module} EXPORT nmisafe
        FILE_SET HEADERS DESTINATION ${NMISAFE_INSTALL_FOLDER})
    get_property(sources GLOBAL PROPERTY nmisafe_sources_${module})
    foreach(source IN LISTS sources)
        install(FILES ${PROJECT_SOURCE_DIR}/nmisafe/${module}/${source}
            DESTINATION ${NMISAFE_INSTALL_FOLDER}/nmisafe/${module})
    endforeach()
endforeach()
install(EXPORT nmisafe NAMESPACE nmisafe:: FILE nmisafe-targets.cmake
    DESTINATION ${NMISAFE_INSTALL_FOLDER}/cmake)
install(FILES
    ${PROJECT_SOURCE_DIR}/nmisafe/nmisafe.mk
    ${PROJECT_SOURCE_DIR}/nmisafe/sources.mk
    ${PROJECT_SOURCE_DIR}/nmisafe/sources.json
    ${PROJECT_SOURCE_DIR}/nmisafe/meson.build
    ${PROJECT_SOURCE_DIR}/nmisafe/BUILD.bazel
    ${PROJECT_SOURCE_DIR}/nmisafe/sources.bzl
    DESTINATION ${NMISAFE_INSTALL_FOLDER}/nmisafe)
install(FILES ${PROJECT_SOURCE_DIR}/meson.build ${PROJECT_SOURCE_DIR}/WORKSPACE DESTINATION ${NMISAFE_INSTALL_FOLDER})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/nmisafe RENAME copyright)
install(FILES ${PROJECT_SOURCE_DIR}/CHANGELOG.md DESTINATION share/doc/nmisafe)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/nmisafe-config.cmake.in
    ${PROJECT_BINARY_DIR}/lists/nmisafe-config.cmake
    INSTALL_DESTINATION ${NMISAFE_INSTALL_FOLDER}/cmake)
# Below 1.0 each minor version may break what was before: see CHANGELOG.md.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lists/nmisafe-config-version.cmake
    COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
    ${PROJECT_BINARY_DIR}/lists/nmisafe-config.cmake
    ${PROJECT_BINARY_DIR}/lists/nmisafe-config-version.cmake
    DESTINATION ${NMISAFE_INSTALL_FOLDER}/cmake)
configure_file(${CMAKE_CURRENT_LIST_DIR}/nmisafe.pc.in ${PROJECT_BINARY_DIR}/lists/nmisafe.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/lists/nmisafe.pc DESTINATION share/pkgconfig)

set(CPACK_GENERATOR DEB TGZ)
set(CPACK_PACKAGE_NAME nmisafe)
set(CPACK_PACKAGE_VENDOR nmisafe)
set(CPACK_PACKAGE_CONTACT "the nmisafe project <nmisafe@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY
    "breakpoints, page faults and tracing inside x86 NMI handlers: sources for kernels")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
include(CPack)
