# A 64-bit Linux may refuse 32-bit programs; they then run under QEMU's user emulation, which takes up to ten
# times as long.
try_run(NMISAFE_RUNS_X86_32 NMISAFE_LINKS_X86_32
    SOURCE_FROM_CONTENT empty.cpp "int main() {}\n"
    COMPILE_DEFINITIONS -m32 LINK_OPTIONS -m32 -static)

# nmisafe_make_x86_32(target)
#
# Builds a program for the other width. -idirafter: asm/*.h serve both widths, but Debian's 32-bit search path lacks
# them unless gcc-multilib is installed, which excludes every cross compiler.
function(nmisafe_make_x86_32 target)
    target_compile_options(${target} PRIVATE -m32 -fno-pie
        -idirafter /usr/include/x86_64-linux-gnu)
    target_link_options(${target} PRIVATE -m32 -static)
    if(NOT NMISAFE_RUNS_X86_32 EQUAL 0)
        set_target_properties(${target} PROPERTIES CROSSCOMPILING_EMULATOR qemu-i386)
    endif()
endfunction()

# ./test --whole. Without it the second compiler, some policies and some widths have those guests alone that can fail when
# all others pass; the reason stands where one is left out. How long a guest goes on is the same with it.
option(NMISAFE_TEST_WHOLE "every guest with both compilers, with the first under all policies" OFF)
set(NMISAFE_HAS_SHARE OFF) # this is the second compiler, which has a share of the guests
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT NMISAFE_TEST_WHOLE)
    set(NMISAFE_HAS_SHARE ON)
endif()

# What a program on doctest compiles with: an assertion is one call, not a try block of its own. What an expression
# throws that must not then ends the test case, which fails as well.
add_library(nmisafe_doctest INTERFACE)
target_compile_definitions(nmisafe_doctest INTERFACE DOCTEST_CONFIG_SUPER_FAST_ASSERTS)

# The main function of every host unit test, compiled once for each width: doctest's implementation costs
# more than most tests. It is the framework, not what is tested, so nothing is lost by not optimising it.
foreach(width IN ITEMS x86_64 x86_32)
    add_library(nmisafe_doctest_main.${width} OBJECT EXCLUDE_FROM_ALL
        ${PROJECT_SOURCE_DIR}/tests/support/doctest_main.cpp)
    target_compile_features(nmisafe_doctest_main.${width} PRIVATE cxx_std_20)
    target_compile_options(nmisafe_doctest_main.${width} PRIVATE -g1)
    target_link_libraries(nmisafe_doctest_main.${width} PUBLIC nmisafe_doctest PRIVATE nmisafe_warnings)
endforeach()
nmisafe_make_x86_32(nmisafe_doctest_main.x86_32)

# What tests under the fake kernel include, compiled once for each width: almost half of a test's compile time.
set(NMISAFE_UNIT_HEADERS <doctest/doctest.h> <algorithm> <array> <cstring> <functional> <map> <memory> <string> <vector>
    ${PROJECT_SOURCE_DIR}/nmisafe/platform/fake/nmisafe_platform.hpp)
foreach(width IN ITEMS x86_64 x86_32)
    add_library(nmisafe_unit_headers.${width} OBJECT EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/tests/support/nothing.cpp)
    target_include_directories(nmisafe_unit_headers.${width} PRIVATE ${PROJECT_SOURCE_DIR}
        ${PROJECT_SOURCE_DIR}/nmisafe/platform/fake)
    target_link_libraries(nmisafe_unit_headers.${width} PRIVATE nmisafe_doctest nmisafe_hosted)
    target_precompile_headers(nmisafe_unit_headers.${width} PRIVATE ${NMISAFE_UNIT_HEADERS})
endforeach()
nmisafe_make_x86_32(nmisafe_unit_headers.x86_32)

# nmisafe_join_sources(target)
#
# Compiles what the target links of the library as one: of a small file most of the time goes to headers, and with the
# fake kernel's a second each. Tests stay files of their own. What a source of the library leaves to another's headers
# is seen by the flags set O2 (tests/flags), and by the plain images of the reference kernel: both compile each alone.
function(nmisafe_join_sources target)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "_test\\.cpp$")
    set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# nmisafe_add_unit_test(name SOURCES ... LINK ... OPTIONS ...)
#
# A host unit test on doctest, run by ctest as unit.<name>; with x86_32 in its name it is of that width. OPTIONS are the
# compiler's.
# doctest's exit code is non-zero when a check fails; an empty test binary is an error through the pattern
# below.
function(nmisafe_add_unit_test name)
    cmake_parse_arguments(test "" "" "SOURCES;LINK;OPTIONS" ${ARGN})
    add_executable(test_${name} ${test_SOURCES})
    target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR})
    set(width x86_64)
    if(name MATCHES "x86_32")
        set(width x86_32)
    endif()
    target_link_libraries(test_${name} PRIVATE
        nmisafe_doctest_main.${width} nmisafe_hosted ${test_LINK})
    target_compile_options(test_${name} PRIVATE ${test_OPTIONS})
    # Headers that were compiled with other options are of no use.
    list(LENGTH test_SOURCES count)
    if(NOT "nmisafe::platform_fake" IN_LIST test_LINK OR "nmisafe_tool" IN_LIST test_LINK)
    elseif(NOT test_OPTIONS)
        target_precompile_headers(test_${name} REUSE_FROM nmisafe_unit_headers.${width})
    elseif(count GREATER 4)
        target_precompile_headers(test_${name} PRIVATE ${NMISAFE_UNIT_HEADERS})
    endif()
    # What is tested is optimised as in a kernel; optimising the test itself takes a third of its compile time.
    foreach(source IN LISTS test_SOURCES)
        if(source MATCHES "_test\\.cpp$" AND NOT source MATCHES "hosted")
            set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS -O1)
        endif()
    endforeach()
    nmisafe_join_sources(test_${name})
    add_test(NAME unit.${name} COMMAND test_${name})
    set_tests_properties(unit.${name} PROPERTIES
        TIMEOUT 600 LABELS unit
        # "test cases: 0" means that nothing ran, which is a failure.
        FAIL_REGULAR_EXPRESSION "test cases: *0 \\|")
endfunction()

# nmisafe_add_unit_tests(name SOURCES ... LINK ... OPTIONS ...)
#
# The same test for both widths, as unit.<name>.x86_64 and unit.<name>.x86_32, with these options of the
# compiler.
function(nmisafe_add_unit_tests name)
    cmake_parse_arguments(test "" "" "SOURCES;LINK;OPTIONS" ${ARGN})
    foreach(width IN ITEMS x86_64 x86_32)
        nmisafe_add_unit_test(${name}.${width} SOURCES ${test_SOURCES} LINK ${test_LINK} OPTIONS ${test_OPTIONS})
    endforeach()
    nmisafe_make_x86_32(test_${name}.x86_32)
endfunction()

# nmisafe_add_hosted_tests(name SOURCES ... LINK ...)
#
# A program that patches itself, for both widths, all optimisations and both linkers, as
# unit.<name>.<width>.O<level>.<linker>. With clang, and for 32 bits, -O0 and -O2 alone: -O1 and -O3
# inline and unroll less or more than -O2, which g++'s four levels for 64 bits show executed; tests/flags compiles and
# links every source at all of them, but runs none. ./test --whole has all. Objects are compiled once for both
# linkers, module sources included; so the programs do not link the module again. Sections of their own, for
# --gc-sections.
function(nmisafe_add_hosted_tests name)
    cmake_parse_arguments(hosted "" "" "SOURCES;LINK" ${ARGN})
    find_package(Threads REQUIRED)
    find_program(NMISAFE_LLD ld.lld REQUIRED)
    foreach(width IN ITEMS x86_64 x86_32)
        set(levels 0 1 2 3)
        if(NMISAFE_HAS_SHARE OR (width STREQUAL "x86_32" AND NOT NMISAFE_TEST_WHOLE))
            set(levels 0 2)
        endif()
        foreach(level IN LISTS levels)
            set(objects ${name}_hosted_${width}_O${level})
            add_library(${objects} OBJECT ${hosted_SOURCES})
            target_include_directories(${objects} PRIVATE ${PROJECT_SOURCE_DIR})
            target_link_libraries(${objects} PRIVATE nmisafe_warnings ${hosted_LINK})
            target_compile_options(${objects} PRIVATE -O${level} -g1 -fno-pie -ffunction-sections
                -fdata-sections)
            nmisafe_join_sources(${objects})
            set(programs)
            foreach(linker IN ITEMS bfd lld)
                set(test ${name}.${width}.O${level}.${linker})
                add_executable(test_${test} $<TARGET_OBJECTS:${objects}>)
                # Segments far apart: code stands behind a hole, which one page may or may not leave.
                target_link_options(test_${test} PRIVATE -fuse-ld=${linker} -Wl,--gc-sections
                    $<$<STREQUAL:${linker},lld>:-Wl,-z,max-page-size=0x200000>
                    $<$<STREQUAL:${width},x86_64>:-no-pie>)
                target_link_libraries(test_${test} PRIVATE Threads::Threads)
                add_test(NAME unit.${test} COMMAND test_${test})
                set_tests_properties(unit.${test} PROPERTIES TIMEOUT 600 LABELS unit
                    PASS_REGULAR_EXPRESSION "checks [1-9][0-9]*, failures 0,")
                list(APPEND programs test_${test})
            endforeach()
            if(width STREQUAL "x86_32")
                foreach(target IN LISTS objects programs)
                    nmisafe_make_x86_32(${target})
                endforeach()
            endif()
        endforeach()
    endforeach()
endfunction()
