# nmisafe_add_module(name HEADERS ... SOURCES ... DEPENDS ...)
#
# A module is an INTERFACE library nmisafe::<name>: its .cpp and .S files compile in the program that
# links it, with that program's compiler, width and flags. So one source tree serves both widths in
# one build, and a kernel's flags (-mno-red-zone, -mcmodel=kernel) reach every file. Link modules into
# the final image only: through an OBJECT library in between they would be compiled twice.
function(nmisafe_add_module name)
    cmake_parse_arguments(module "" "" "HEADERS;SOURCES;DEPENDS" ${ARGN})
    add_library(nmisafe_${name} INTERFACE)
    add_library(nmisafe::${name} ALIAS nmisafe_${name})
    set_target_properties(nmisafe_${name} PROPERTIES EXPORT_NAME ${name})
    target_compile_features(nmisafe_${name} INTERFACE cxx_std_20)
    target_sources(nmisafe_${name} INTERFACE
        FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${module_HEADERS})
    foreach(source IN LISTS module_SOURCES)
        # What is installed is the source too: see nmisafe_package.cmake.
        target_sources(nmisafe_${name} INTERFACE
            $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/${source}>
            $<INSTALL_INTERFACE:${NMISAFE_INSTALL_FOLDER}/nmisafe/${name}/${source}>)
    endforeach()
    set(needed)
    foreach(dependency IN LISTS module_DEPENDS)
        target_link_libraries(nmisafe_${name} INTERFACE nmisafe_${dependency})
        get_property(theirs GLOBAL PROPERTY nmisafe_needs_${dependency})
        list(APPEND needed ${theirs} ${dependency})
    endforeach()
    list(REMOVE_DUPLICATES needed)
    set_property(GLOBAL APPEND PROPERTY nmisafe_modules ${name})
    set_property(GLOBAL PROPERTY nmisafe_needs_${name} ${needed})
    set_property(GLOBAL PROPERTY nmisafe_headers_${name} ${module_HEADERS})
    set_property(GLOBAL PROPERTY nmisafe_sources_${name} ${module_SOURCES})
endfunction()
