# What an installation consists of, and where its parts belong. They are made in the build folder
# first, below share/, laid out as an installation is: there the program finds them too, so that it
# knows no source tree (daemon/platform/installation.hpp).
set(share ${CMAKE_BINARY_DIR}/share)
set(plugin_place nvim/site/pack/hearth/start/hearth)
set(plugin ${CMAKE_SOURCE_DIR}/editors/neovim)
find_program(HEARTH_GZIP gzip)

# hearth_link(TARGET-OF-LINK PLACE): a part that is used as it stands in the source tree.
set(parts "")
function(hearth_link original place)
  get_filename_component(folder ${share}/${place} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  file(CREATE_LINK ${original} ${share}/${place} SYMBOLIC)
endfunction()

hearth_link(${CMAKE_SOURCE_DIR}/engine/ember hearth/ember)
hearth_link(${plugin}/lua ${plugin_place}/lua)
hearth_link(${plugin}/plugin ${plugin_place}/plugin)
hearth_link(${plugin}/doc/hearth.txt ${plugin_place}/doc/hearth.txt)
add_custom_command(OUTPUT ${share}/${plugin_place}/doc/tags
  COMMAND ${CMAKE_COMMAND} -DHELP=${plugin}/doc/hearth.txt -DTAGS=${share}/${plugin_place}/doc/tags
          -P ${CMAKE_CURRENT_LIST_DIR}/helptags.cmake
  DEPENDS ${plugin}/doc/hearth.txt ${CMAKE_CURRENT_LIST_DIR}/helptags.cmake)

# hearth_text(FORM PLACE): what the program says of itself (`hearth help --form FORM`).
function(hearth_text form place)
  get_filename_component(folder ${share}/${place} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  add_custom_command(OUTPUT ${share}/${place}
    COMMAND hearth help --form ${form} > ${share}/${place}
    DEPENDS hearth VERBATIM)
endfunction()

hearth_text(man man/man1/hearth.1)
hearth_text(bash bash-completion/completions/hearth)
hearth_text(zsh zsh/site-functions/_hearth)
hearth_text(fish fish/vendor_completions.d/hearth.fish)
set(texts ${share}/${plugin_place}/doc/tags ${share}/bash-completion/completions/hearth
  ${share}/zsh/site-functions/_hearth ${share}/fish/vendor_completions.d/hearth.fish)
if(HEARTH_GZIP)
  set(manual ${share}/man/man1/hearth.1.gz)
  add_custom_command(OUTPUT ${manual} COMMAND ${HEARTH_GZIP} -9nfk ${share}/man/man1/hearth.1
    DEPENDS ${share}/man/man1/hearth.1 VERBATIM)
else()
  set(manual ${share}/man/man1/hearth.1)
endif()
add_custom_target(hearth_texts ALL DEPENDS ${texts} ${manual})

# The licences of what is linked into the program, as theirs ask.
set(copyright ${CMAKE_BINARY_DIR}/copyright)
file(READ ${CMAKE_SOURCE_DIR}/LICENSE licences)
set(licences "hearth\n\n${licences}")
set(modules ${CMAKE_BINARY_DIR}/grammars/node_modules)
file(GLOB others ${modules}/tree-sitter*/LICENSE ${modules}/@*/*/LICENSE)
list(FILTER others EXCLUDE REGEX /tree-sitter-cli/)  # which a package asks for, and nothing here uses
foreach(other ${others})
  get_filename_component(name ${other} DIRECTORY)
  file(RELATIVE_PATH name ${modules} ${name})
  file(READ ${other} licence)
  string(APPEND licences "\n\n${name}, parts of which are linked into hearth\n\n${licence}")
endforeach()
file(WRITE ${copyright}.new "${licences}")
file(COPY_FILE ${copyright}.new ${copyright} ONLY_IF_DIFFERENT)

include(GNUInstallDirs)
set(data ${CMAKE_INSTALL_DATAROOTDIR})
install(TARGETS hearth RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/engine/ember DESTINATION ${data}/hearth)
install(DIRECTORY ${plugin}/lua ${plugin}/plugin ${plugin}/doc DESTINATION ${data}/${plugin_place}
  PATTERN tags EXCLUDE)
install(FILES ${share}/${plugin_place}/doc/tags DESTINATION ${data}/${plugin_place}/doc)
install(FILES ${manual} DESTINATION ${data}/man/man1)
install(FILES ${share}/bash-completion/completions/hearth DESTINATION ${data}/bash-completion/completions)
install(FILES ${share}/fish/vendor_completions.d/hearth.fish DESTINATION ${data}/fish/vendor_completions.d)
install(FILES ${copyright} DESTINATION ${data}/doc/hearth)
# A distribution's own zsh reads packages' completions from another folder.
install(CODE "
  set(folder site-functions)
  if(CMAKE_INSTALL_PREFIX MATCHES \"/usr$\")
    set(folder vendor-completions)
  endif()
  file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${data}/zsh/\${folder}\" TYPE FILE
    FILES \"${share}/zsh/site-functions/_hearth\")")

# The user's systemd looks for units in a home's share, and in a system's lib. The unit names the
# program where it is installed, which is known only now.
install(CODE "
  set(folder lib)
  if(CMAKE_INSTALL_PREFIX MATCHES \"/[.]local/?$\")
    set(folder share)
  endif()
  get_filename_component(hearth_program \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/hearth\" ABSOLUTE)
  configure_file(\"${CMAKE_CURRENT_LIST_DIR}/hearth.service.in\" \"${CMAKE_BINARY_DIR}/hearth.service\" @ONLY)
  file(INSTALL DESTINATION \"\${CMAKE_INSTALL_PREFIX}/\${folder}/systemd/user\" TYPE FILE
    FILES \"${CMAKE_BINARY_DIR}/hearth.service\")")

# `cpack` in the build folder makes a package for Debian and its kin, which depends on the libraries
# that the program was linked with.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME hearth)
set(CPACK_PACKAGE_CONTACT "The hearth authors <hearth@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "coding assistant that runs a large model on your own machine")
set(CPACK_PACKAGE_DESCRIPTION "A language server that explains code and completes it as you type.
The model, a Mixture of Experts, runs in a daemon on this machine: nothing
leaves it. A small model is in the package, and the plugin for Neovim.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION editors)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS neovim)
include(CPack)
