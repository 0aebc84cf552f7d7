// SPDX-License-Identifier: MIT
// A file that is being written. The first error is kept, and says which file it was.
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

namespace nmisafe::tool {

// Prints, at once. Throws "standard output: No space left on device": nobody would see what comes
// out.
void print_now(std::FILE* stream, std::string_view text);

class output_file {
  public:
    output_file() = default;
    output_file(const output_file&) = delete;
    output_file& operator=(const output_file&) = delete;
    ~output_file() { close(); }

    // Makes the file, or empties it.
    void open(const std::filesystem::path& file);
    void write(std::string_view bytes);
    // Sets the error if there is no room for more: others who write to this file through
    // descriptor() may not say so.
    void check_room();
    void close();

    // Closed in programs that are started, unless they are told otherwise.
    int descriptor() const { return descriptor_; }
    // "out/report.json: No space left on device"; empty as long as all is well.
    const std::string& error() const { return error_; }

  private:
    void fail();

    std::filesystem::path file_;
    int descriptor_ = -1;
    std::string error_;
};

// Writes beside the file's place and renames, so that it is whole or as before. Why that failed, or
// empty.
std::string write_whole(const std::filesystem::path& file, std::string_view text);

} // namespace nmisafe::tool
