# SPDX-License-Identifier: Apache-2.0
# The packages that pocketllm::pocketllm links: found here for our own build and, through the package's
# config file, for those who use an installed copy.
include(CMakeFindDependencyMacro)
find_dependency(Eigen3 3.4 NO_MODULE)
find_dependency(xsimd)
find_dependency(nlohmann_json 3.10)
find_dependency(Threads)

# Debian's xsimd 8 names the target xtl, which its config does not find and the headers do not need.
get_target_property(pocketllm_xsimd_links xsimd INTERFACE_LINK_LIBRARIES)
if("xtl" IN_LIST pocketllm_xsimd_links AND NOT TARGET xtl)
  list(REMOVE_ITEM pocketllm_xsimd_links xtl)
  set_target_properties(xsimd PROPERTIES INTERFACE_LINK_LIBRARIES "${pocketllm_xsimd_links}")
endif()
unset(pocketllm_xsimd_links)
