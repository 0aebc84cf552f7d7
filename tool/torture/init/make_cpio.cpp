// SPDX-License-Identifier: MIT
// make_cpio OUT FILE: an initramfs of Linux with FILE as /init, /dev/console and the folders it wants.
// The format is cpio's "newc": a header of hexadecimal numbers, the name, the data, each filled to four bytes.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

namespace {

std::string padded(std::string text) {
    text.resize((text.size() + 3) / 4 * 4);
    return text;
}

std::string entry(const std::string& name, unsigned mode, const std::string& data = {},
                  unsigned device_major = 0, unsigned device_minor = 0) {
    static unsigned inode = 0;
    char header[6 + 13 * 8 + 1];
    // inode, mode, user, group, links, time, size, its device, the device it is, name's size, check sum
    std::snprintf(header, sizeof header,
                  "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++inode, mode, 0u,
                  0u, 1u, 0u, static_cast<unsigned>(data.size()), 0u, 0u, device_major,
                  device_minor, static_cast<unsigned>(name.size() + 1), 0u);
    return padded(header + name + '\0') + padded(data);
}

} // namespace

int main(int count, char** words) {
    if (count != 3) {
        std::fputs("make_cpio OUT FILE\n", stderr);
        return 2;
    }
    std::ifstream in(words[2], std::ios::binary);
    const std::string init{std::istreambuf_iterator<char>(in), {}};
    std::ofstream out(words[1], std::ios::binary);
    for (const char* folder : {"dev", "proc", "sys"})
        out << entry(folder, 040755);
    out << entry("dev/console", 020600, {}, 5, 1) << entry("init", 0100755, init)
        << entry("TRAILER!!!", 0);
    out.close();
    if (!in || init.empty() || !out) {
        std::fprintf(stderr, "make_cpio: cannot make %s of %s\n", words[1], words[2]);
        return 1;
    }
    return 0;
}
