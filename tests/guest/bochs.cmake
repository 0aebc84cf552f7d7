# The same kernel under Bochs, with one compiler: what an emulator shows does not depend on the compiler,
# and each boot through GRUB takes a while. Each row needs a CD image of its own, since Bochs cannot pass
# a command line.
#
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
    if(experiment MATCHES "^(events-under-nmi|(user-)?every-instruction|nmi-from-user|nmi-latch)$")
        set(sweep --ips 15000000 --elf ${PROJECT_BINARY_DIR}/kernel/nmisafe-${arch}${variant}.elf)
    endif()
    set(check ${PROJECT_SOURCE_DIR}/tests/guest/check_bochs.py
        --iso ${PROJECT_BINARY_DIR}/kernel/bochs-${name}.iso --cpus ${cpus}
        --log ${PROJECT_BINARY_DIR}/tests/guest/bochs.${name}.log
        ${sweep} ${bochs_UNPARSED_ARGUMENTS})
    set(words "experiment=${experiment} policy=${policy} ${bochs_OPTIONS}")
    if(bochs_WHOLE)
        nmisafe_add_kernel_iso(${arch} "${variant}" bochs-${name}.iso "${words}" ON_DEMAND)
        list(APPEND bochs_sweeps COMMAND ${CMAKE_COMMAND} -E echo ${name} COMMAND Python3::Interpreter ${check} --rows)
        list(APPEND bochs_sweeps_isos iso_bochs-${name}.iso)
        set(bochs_sweeps ${bochs_sweeps} PARENT_SCOPE)
        set(bochs_sweeps_isos ${bochs_sweeps_isos} PARENT_SCOPE)
        return()
    endif()
    nmisafe_add_kernel_iso(${arch} "${variant}" bochs-${name}.iso "${words}")
    add_test(NAME guest.bochs.${name} COMMAND Python3::Interpreter ${check})
    set_tests_properties(guest.bochs.${name} PROPERTIES LABELS guest TIMEOUT 240)
endfunction()
