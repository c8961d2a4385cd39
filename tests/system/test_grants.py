"""What each database role, Redis user and operating system user may do, and what it may not."""
import throng

if __name__ == '__main__':
    throng.main()
