// The changes of jobs whose workspace no editor has open, as one patch of the files on the disk:
// for a person who applies it themselves. Nothing is written, and the jobs stay as they are.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "lsp/jobs/job.hpp"
#include "lsp/support/host.hpp"

namespace hearth::lsp {

struct WorkspacePatch {
  // Where it is to be applied, without links: the root of the repository that the workspace is in,
  // as git reads a patch's paths from there; of no repository, the workspace's folder.
  std::string folder;
  std::string text;  // for `git apply` and `patch -p1`; empty: nothing is left to change
  struct LeftOut {
    JobId job = 0;
    std::string why;  // a sentence without its end
  };
  std::vector<LeftOut> left_out;
};

// `jobs` wait for a person, and are made one upon the other, all of one or nothing of it. What was
// typed since into their files is merged, as an editor's is. Reads the disk: call it off the
// server's thread.
WorkspacePatch workspace_patch(std::span<const Job> jobs, const Host& host);

}  // namespace hearth::lsp
