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
    target_compile_features(nmisafe_${name} INTERFACE cxx_std_20)
    target_sources(nmisafe_${name} INTERFACE
        FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR} FILES ${module_HEADERS})
    foreach(source IN LISTS module_SOURCES)
        target_sources(nmisafe_${name} INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/${source})
    endforeach()
    foreach(dependency IN LISTS module_DEPENDS)
        target_link_libraries(nmisafe_${name} INTERFACE nmisafe::${dependency})
    endforeach()
endfunction()
