// Starting the library, and hashing with it.
#include "lsp/context/libgit2.hpp"

#include <git2.h>

#include <array>
#include <stdexcept>

namespace hearth::lsp {

void start_libgit2() {
  static const bool started = [] {
    git_libgit2_init();
    // Whose the repository is does not matter: nothing of it is run, only patterns are read.
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    return true;
  }();
  static_cast<void>(started);
}

std::string blob_hash(std::string_view text) {
  start_libgit2();
  git_oid id;
  if (git_odb_hash(&id, text.data(), text.size(), GIT_OBJECT_BLOB) != 0)
    throw std::runtime_error("libgit2 computes no hash");
  std::array<char, GIT_OID_HEXSZ + 1> hex{};
  return git_oid_tostr(hex.data(), hex.size(), &id);
}

}  // namespace hearth::lsp
