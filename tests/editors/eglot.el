;;; eglot.el --- hearth in a real Emacs, with Eglot and the recipe of editors/README.md  -*- lexical-binding: t -*-
;; Asks for the code actions of a function, chooses *Explain selection* and waits for the answer, as a
;; person would; then changes the buffer and asks again. `emacs --batch -l eglot.el`.
(require 'cl-lib)
(require 'eglot)

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

(defun handle-rest ()
  "Emacs 28 (jsonrpc 1.0.14) leaves what came in one piece with a reply until the server says more, as
it does when it is asked the next thing. Here nobody asks."
  (when-let ((server (eglot-current-server)))
    (jsonrpc--process-filter (jsonrpc--process server) "")))

(defun wait-until (what condition)
  (let ((deadline (+ (float-time) limit)))
    (while (not (funcall condition))
      (when (> (float-time) deadline)
        (error "waited in vain until %s; Emacs said:\n%s" what said))
      (accept-process-output nil 0.05)
      (handle-rest))))

;; The recipe, word for word.
(with-temp-buffer
  (insert-file-contents (expand-file-name "../../editors/README.md" here))
  (search-forward "\nEglot (")
  (search-forward "```elisp\n")
  (eval (read (current-buffer)) t))

(defun shown ()
  "All messages so far, and what is in the answer's file where they name one."
  (concat said (when (string-match "the answer is in \\([^\n]*\\.md\\)" said)
                 (with-temp-buffer
                   (insert-file-contents (match-string 1 said))
                   (buffer-string)))))

(defun explain-all ()
  "Opens the menu of code actions for the whole buffer and chooses *Explain selection*."
  (let ((last-nonmenu-event ?\r) ; it was no mouse
        offered)
    (cl-letf (((symbol-function 'completing-read)
               (lambda (_prompt titles &rest _)
                 (setq offered (all-completions "" titles))
                 (or (cl-find-if (lambda (title) (string-prefix-p "Explain selection" title)) offered)
                     (error "offered are: %S" offered)))))
      (eglot-code-actions (point-min) (point-max) nil t))))

(let ((folder (expand-file-name "project" (getenv "HEARTH_SCRATCH"))))
  (make-directory (expand-file-name ".git" folder) t)
  (with-temp-file (expand-file-name "stats.py" folder) (insert average))
  (find-file (expand-file-name "stats.py" folder))
  (apply #'eglot--connect (eglot--guess-contact))
  (cl-assert (eglot-current-server))

  (explain-all)
  (wait-until "the answer is shown" (lambda () (string-search explanation (shown))))

  ;; Text that the server must have followed: a function before the one that was explained.
  (setq said "")
  (goto-char (point-min))
  (insert "# 😀é\nimport os\n\n\n")
  (explain-all)
  (wait-until "the answer is shown again" (lambda () (string-search explanation (shown))))
  (cl-assert (string= (buffer-string) (concat "# 😀é\nimport os\n\n\n" average)))
  (eglot-shutdown (eglot-current-server))
  (princ "ok\n"))
