// What is to be downloaded: the files of a repository at one commit, with sizes and digests, and
// which of them hearth needs. What a server says is checked here, and refused by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::hub {

// One of sha256 and git_id is there.
struct RemoteFile {
  std::string name;  // plain: of a file directly in the repository
  std::uint64_t size = 0;
  std::string sha256;  // 64 digits
  std::string git_id;  // 40 digits

  bool operator==(const RemoteFile&) const = default;
};

struct Manifest {
  std::string endpoint;  // an origin: "https://huggingface.co"
  std::string id;        // "Qwen/Qwen3-Coder-Next-FP8"
  std::string revision;  // as it was asked for: "main"
  std::string commit;    // what that was: 40 digits
  std::vector<RemoteFile> files;

  std::uint64_t bytes() const;
};

// Whether a file of that name may be taken: no folder, no hidden file, and of a kind that is only
// read: .safetensors, .json, .txt, .jinja.
bool is_taken(std::string_view name);
bool is_weights(std::string_view name);  // .safetensors
// "OWNER/NAME", each of letters, digits, ".", "-" and "_".
bool is_repository_id(std::string_view id);

// Of an API's list of files (objects with "rfilename" or "path", "size", "blobId" or "oid", "lfs")
// those that a checkpoint can need; the others are passed over. Throws Error that names the file
// whose size or digest is missing or out of range. `who` names the server.
std::vector<RemoteFile> read_files(const nlohmann::json& list, const std::string& who);

// Of `files` what the index asks for: all that is no weights, and its shards; without an index
// (empty), model.safetensors. Throws Error that names the shard that is not there, or where the
// index's total size does not fit into the shards.
std::vector<RemoteFile> needed_files(const std::vector<RemoteFile>& files, std::string_view index,
                                     const std::string& who);

// As it is kept beside the files.
std::string to_text(const Manifest& manifest);
// Throws Error, naming `name`, for what is none.
Manifest parse_manifest(std::string_view text, const std::string& name);

}  // namespace hearth::hub
