;;; lsp-mode.el --- hearth in a real Emacs, with lsp-mode and the recipe of editors/README.md  -*- lexical-binding: t -*-
;; Chooses *Explain selection* from the code actions of a function and waits for the answer, as a person
;; would; then changes the buffer and asks again. `emacs --batch -l lsp-mode.el`.
(require 'cl-lib)
(require 'lsp-mode)

(defconst limit 120 "Seconds after which a test gives up, far beyond what a slow machine needs.")
(defconst here (file-name-directory load-file-name))
(defconst average
  "def average(values):
    total = 0
    for value in values:
        total += value
    return total / len(values)
")
(defconst explanation
  "Computes the average of the values: it adds them up and divides the total by their number.")

(defvar said "" "All messages so far.")
(advice-add 'message :before
            (lambda (format &rest values)
              (when format (setq said (concat said (apply #'format-message format values) "\n")))))

(defun wait-until (what condition)
  (let ((deadline (+ (float-time) limit)))
    (while (not (funcall condition))
      (when (> (float-time) deadline)
        (error "waited in vain until %s; Emacs said:\n%s" what said))
      (accept-process-output nil 0.05))))

;; The recipe, word for word.
(with-temp-buffer
  (insert-file-contents (expand-file-name "../../editors/README.md" here))
  (search-forward "\nlsp-mode (")
  (search-forward "```elisp\n")
  (eval (read (current-buffer)) t))

(defun shown ()
  "All messages so far, and what is in the answer's file where they name one."
  (concat said (when (string-match "the answer is in \\([^\n]*\\.md\\)" said)
                 (with-temp-buffer
                   (insert-file-contents (match-string 1 said))
                   (buffer-string)))))

(defun explain-all ()
  "Chooses *Explain selection* from the code actions of the whole buffer."
  (push-mark (point-max) t t)
  (goto-char (point-min))
  (let ((transient-mark-mode t)
        (mark-active t))
    (let ((action (cl-find-if (lambda (each) (string-prefix-p "Explain selection" (gethash "title" each)))
                              (append (lsp-code-actions-at-point) nil))))
      (unless action (error "*Explain selection* is not offered"))
      (lsp-execute-code-action action))))

(let ((folder (expand-file-name "project" (getenv "HEARTH_SCRATCH")))
      (lsp-auto-guess-root t)
      (lsp-use-plists nil))
  (setq lsp-session-file (expand-file-name "lsp-session" (getenv "HEARTH_SCRATCH"))
        lsp-auto-guess-root t
        lsp-enable-file-watchers nil
        lsp-warn-no-matched-clients t
        lsp-enabled-clients '(hearth)
        lsp-idle-delay 0.1)
  (make-directory (expand-file-name ".git" folder) t)
  (with-temp-file (expand-file-name "stats.py" folder) (insert average))
  (find-file (expand-file-name "stats.py" folder))
  (lsp-workspace-folders-add folder)
  (lsp)
  (wait-until "hearth is attached"
              (lambda () (cl-some (lambda (each) (eq (lsp--workspace-status each) 'initialized)) (lsp-workspaces))))

  (explain-all)
  (wait-until "the answer is shown" (lambda () (string-search explanation (shown))))

  ;; Text that the server must have followed: a function before the one that was explained.
  (setq said "")
  (goto-char (point-min))
  (insert "# 😀é\nimport os\n\n\n")
  (explain-all)
  (wait-until "the answer is shown again" (lambda () (string-search explanation (shown))))
  (cl-assert (string= (buffer-string) (concat "# 😀é\nimport os\n\n\n" average)))
  (setq lsp-restart 'ignore)
  (mapc #'lsp-workspace-shutdown (lsp-workspaces))
  (princ "ok\n"))
