// SPDX-License-Identifier: MIT
// One run at a time in a folder. The lock is gone when the program is, however that ends.
#pragma once

#include <filesystem>
#include <string>

namespace nmisafe::tool {

class folder_lock {
  public:
    folder_lock() = default;
    folder_lock(const folder_lock&) = delete;
    folder_lock& operator=(const folder_lock&) = delete;
    ~folder_lock();

    // Why the folder cannot be had, or empty. Its file `run.lock` holds the number of the process
    // that has it.
    std::string take(const std::filesystem::path& folder);

    // The same without a file, for a folder whose files are read by others. Where the file system has no such
    // locks, without one.
    std::string take_silently(const std::filesystem::path& folder);

  private:
    int descriptor_ = -1;
};

} // namespace nmisafe::tool
