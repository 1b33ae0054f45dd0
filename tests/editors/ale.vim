" hearth in a real Vim, with ALE and the recipe of editors/README.md: asks for the code actions of a
" function, chooses the first, *Explain selection*, and waits for what ALE shows. `vim -es -S ale.vim`.
set nocompatible noswapfile viminfo=
let s:scratch = $HEARTH_SCRATCH
let s:limit = 120 " seconds, far beyond what a slow machine needs
let s:average = [
\ 'def average(values):',
\ '    total = 0',
\ '    for value in values:',
\ '        total += value',
\ '    return total / len(values)',
\]
let s:explanation = 'Computes the average of the values: it adds them up and divides the total by their number.'

function s:Finish(problem) abort
  redir END
  call writefile(empty(a:problem) ? ['ok'] : [a:problem, 'Vim said:'] + readfile(s:said), '/dev/stdout', 'a')
  execute empty(a:problem) ? 'qall!' : 'cquit!'
endfunction

" What was shown, however it was broken into lines, and the answer's file where that is named.
function s:Shown() abort
  let text = join(readfile(s:said), ' ')
  for buffer in tabpagebuflist()
    let text .= ' ' . join(getbufline(buffer, 1, '$'), ' ')
  endfor
  let file = matchstr(text, 'the answer is in \zs\S*\.md')
  if filereadable(file)
    let text .= ' ' . join(readfile(file), ' ')
  endif
  return substitute(text, '\s\+', ' ', 'g')
endfunction

function s:WaitFor(what, Condition) abort
  let start = localtime()
  while !a:Condition()
    if localtime() - start > s:limit
      call s:Finish('waited in vain until ' . a:what)
    endif
    sleep 50m
  endwhile
endfunction

let s:said = s:scratch . '/said'
execute 'redir! > ' . s:said
try
  let s:here = expand('<sfile>:p:h')
  let s:readme = join(readfile(s:here . '/../../editors/README.md'), "\n")
  let s:recipe = matchstr(s:readme, 'ALE[^`]*```vim\n\zs.\{-}\ze```')
  call writefile(split(s:recipe, "\n"), s:scratch . '/recipe.vim')
  filetype plugin on
  packadd ale
  execute 'source ' . s:scratch . '/recipe.vim'

  call mkdir(s:scratch . '/project/.git', 'p')
  call writefile(s:average, s:scratch . '/project/stats.py')
  execute 'edit ' . s:scratch . '/project/stats.py'
  let s:offered = []
  function s:Choose(data, items) abort
    let s:offered = map(copy(a:items), 'v:val[1].title')
    call ale#codefix#ApplyLSPCodeAction(a:data, a:items[0][1])
  endfunction
  execute "normal! ggVG\<Esc>"
  call ale#codefix#Execute(1, function('s:Choose'))
  call s:WaitFor('the menu came', {-> !empty(s:offered)})
  if s:offered[0] !~# '^Explain selection'
    call s:Finish('the first that is offered: ' . s:offered[0])
  endif
  call s:WaitFor('the answer is shown', {-> stridx(s:Shown(), s:explanation) >= 0})
  call s:Finish('')
catch
  call s:Finish(v:exception . ' at ' . v:throwpoint)
endtry
