# The same kernel under Bochs, with one compiler: what an emulator shows does not depend on the compiler.
add_executable(bochs_loader bochs_loader.S)
target_compile_options(bochs_loader PRIVATE -m32)
target_link_options(bochs_loader PRIVATE -m32 -nostdlib -static
    -Wl,-Ttext=0xd0000 -Wl,-e,0xd0000 -Wl,--oformat,binary -Wl,--build-id=none)
set_target_properties(bochs_loader PROPERTIES OUTPUT_NAME bochs_loader.rom)

# nmisafe_add_bochs_test(arch experiment policy variant cpus [OPTIONS more of the command line]
#                        [WITHOUT defence] [CET|HARDENED] [SUFFIX of the name] [WHOLE]
#                        [arguments of check_bochs.py...])
# WHOLE: not in ./test but by the target bochs_sweeps.
# CET: with shadow stacks and indirect branch tracking, in an image for them and on a CPU that has them.
# HARDENED: with indirect branch tracking, in the image whose entries of user mode have all that can be built in.
function(nmisafe_add_bochs_test arch experiment policy variant cpus)
    cmake_parse_arguments(bochs "CET;HARDENED;WHOLE" "OPTIONS;WITHOUT;SUFFIX" "" ${ARGN})
    set(name ${experiment}.${policy}.${arch})
    if(bochs_CET)
        if(variant STREQUAL "-hardened")
            string(APPEND name .hardened)
        endif()
        string(APPEND name .cet)
        string(APPEND bochs_OPTIONS " cet=on")
        list(APPEND bochs_UNPARSED_ARGUMENTS --model tigerlake)
    endif()
    if(bochs_HARDENED)
        string(APPEND name .hardened)
        string(APPEND bochs_OPTIONS " cet=branch-tracking")
        list(APPEND bochs_UNPARSED_ARGUMENTS --model tigerlake)
    endif()
    if(bochs_WITHOUT)
        string(APPEND name .without-${bochs_WITHOUT})
        string(APPEND bochs_OPTIONS " without=${bochs_WITHOUT}")
    endif()
    string(APPEND name "${bochs_SUFFIX}")
    set(sweep)
    if(experiment MATCHES "^((events|asking|patch)-under-nmi|(user-)?every-instruction|nmi-(from-user|latch|state)|user-isolation|interrupt-storm|vmalloc-under-change|profile-in-nmi)$")
        set(sweep --ips 15000000 --elf ${PROJECT_BINARY_DIR}/kernel/nmisafe-${arch}${variant}.elf)
    endif()
    # Each instruction cannot be asked for where part of the path is in slots that are written when it runs, or depends
    # on the time; nor of two CPUs, which take turns at what ends with a jump: in its middle no time goes by.
    if(experiment MATCHES "^(kprobe-sweep|trace-in-nmi)$" OR (sweep AND cpus GREATER 1))
        set(sweep --ips 15000000)
    endif()
    set(check ${PROJECT_SOURCE_DIR}/tests/guest/check_bochs.py
        --image ${PROJECT_BINARY_DIR}/kernel/nmisafe-${arch}${variant}.image --loader $<TARGET_FILE:bochs_loader>
        --words "experiment=${experiment} policy=${policy} ${bochs_OPTIONS}" --cpus ${cpus}
        --log ${PROJECT_BINARY_DIR}/tests/guest/bochs.${name}.log
        ${sweep} ${bochs_UNPARSED_ARGUMENTS})
    if(bochs_WHOLE)
        list(APPEND bochs_sweeps COMMAND ${CMAKE_COMMAND} -E echo ${name} COMMAND Python3::Interpreter ${check} --rows)
        list(APPEND bochs_sweeps_images kernel_${arch}${variant})
        string(APPEND bochs_sweeps_names "${name}\n")
        set(bochs_sweeps ${bochs_sweeps} PARENT_SCOPE)
        set(bochs_sweeps_names "${bochs_sweeps_names}" PARENT_SCOPE)
        set(bochs_sweeps_images ${bochs_sweeps_images} PARENT_SCOPE)
        return()
    endif()
    # What this test alone needs built.
    add_custom_target(bochs-${name} DEPENDS bochs_loader kernel_${arch}${variant})
    add_test(NAME guest.bochs.${name} COMMAND Python3::Interpreter ${check})
    set_tests_properties(guest.bochs.${name} PROPERTIES LABELS guest TIMEOUT 240)
endfunction()
